"""
The tab Resend webhooks: deliveries to choose from, and the jobs that send them again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from console.pages.failures import may_have_happened, status_of
from console.pages.paths import ID, job_of, now_of, owner_of, services_of
from console.rpc.filters import days, equals, texts
from console.rpc.names import delivery_name, subscription_name
from console.rpc.services import answer
from console.web.forms import Form, new_request_id, read_form, request_id_of, text
from console.web.rendering import page
from console.words import groups, progress
from shipedge.webhooks.client.errors import ApiError
from shipedge.webhooks.dispatch.v1 import delivery_service_pb2 as pb
from shipedge.webhooks.dispatch.v1.resend_job_pb2 import ResendJob

STATES = {"failed": "Failed", "cancelled": "Cancelled", "pending": "Waiting"}
FILTERS = ("from", "to", "event", "url", "webhook", "state", "code", "kind")
REFRESH_SECONDS = 2

_MOST = 1_000
_JOBS = 10


async def show_list(request: Request) -> Response:
    """
    Show deliveries that can be sent again, how many for which reason, and the last jobs.
    """
    services, owner = services_of(request), owner_of(request)
    query = defaultdict(str, request.query_params)
    where = list_filter(query, owner)
    asked = pb.ListDeliveriesRequest(parent=owner, filter=where, page_token=query["page"])
    listed = await answer(services.deliveries.ListDeliveries(asked))
    many = pb.ListDeliveriesRequest(parent=owner, filter=where, page_size=_MOST)
    newest = await answer(services.deliveries.ListDeliveries(many))
    jobs = await answer(
        services.deliveries.ListResendJobs(pb.ListResendJobsRequest(parent=owner, page_size=_JOBS))
    )
    return page(
        request,
        "resend.html",
        deliveries=listed.deliveries,
        next_page=listed.next_page_token,
        failures=groups.by_reason(newest.deliveries),
        more=bool(newest.next_page_token),
        jobs=jobs.resend_jobs,
        events=[each.type for each in await services.event_types()],
        states=STATES,
        filters=FILTERS,
        query=query,
    )


def list_filter(query: Mapping[str, str], owner: str) -> str:
    """
    Return the filter of a list of deliveries; without a state, of those that failed. Days are
    whole days in UTC.
    """
    parts = [
        *days(query, "create_time"),
        *texts(query, {"event": "event_type", "url": "url"}),
    ]
    if ID.fullmatch(query.get("webhook", "")):
        parts.append(equals("subscription", subscription_name(owner, query["webhook"])))
    if query.get("code", "").isdecimal():
        parts.append(f"response_code = {query['code']}")
    if query.get("kind", "").strip():
        parts.append(f"failure_kind = {query['kind'].strip()}")
    state = query.get("state", "")
    parts.append(f"state = {(state if state in STATES else 'failed').upper()}")
    return " AND ".join(parts)


async def ask(request: Request) -> Response:
    """
    Say how many deliveries would be sent again, and ask. What comes to match later is left out.
    """
    owner, query = owner_of(request), request.query_params
    chosen = [] if query.get("all") else query.getlist("delivery")
    if not chosen and not query.get("all"):
        return page(request, "nothing_chosen.html")
    until = f'create_time <= "{now_of(request):%Y-%m-%dT%H:%M:%SZ}"'
    where = "" if chosen else f"{list_filter(query, owner)} AND {until}"
    return await _ask(request, chosen, where, "", new_request_id())


async def create(request: Request) -> Response:
    """
    Start a job, and show it.
    """
    form = await read_form(request)
    request_id = request_id_of(form)
    chosen, where, rate = form.get("delivery", []), text(form, "filter"), text(form, "rate")
    try:
        asked = _request(owner_of(request), chosen, where)
        asked.rate_limit, asked.request_id = _rate(form), request_id
        job = await answer(services_of(request).deliveries.ResendDeliveries(asked))
    except ApiError as refused:
        kept = request_id if may_have_happened(refused) else new_request_id()
        return await _ask(request, chosen, where, rate, kept, refused=refused)
    return _to_job(request, job.name)


async def show(request: Request) -> Response:
    """
    Show how far a job is; while it runs, anew every two seconds unless `still` is set.
    """
    asked = pb.GetResendJobRequest(name=job_of(request))
    job = await answer(services_of(request).deliveries.GetResendJob(asked))
    running, still = job.state == ResendJob.STATE_RUNNING, bool(request.query_params.get("still"))
    shown = page(
        request,
        "job.html",
        job=job,
        progress=progress.of_job(job, now_of(request)),
        running=running,
        still=still,
        day=job.create_time.ToDatetime().date(),
    )
    if running and not still:
        shown.headers["Refresh"] = str(REFRESH_SECONDS)
    return shown


async def cancel(request: Request) -> Response:
    """
    Stop a job.
    """
    await read_form(request)
    asked = pb.CancelResendJobRequest(name=job_of(request))
    try:
        await answer(services_of(request).deliveries.CancelResendJob(asked))
    except ApiError as refused:
        # It ended before the click: its page says so.
        if refused.reason != "RESEND_JOB_ENDED":
            raise
    return _to_job(request, asked.name)


async def _ask(
    request: Request,
    chosen: Sequence[str],
    where: str,
    rate: str,
    request_id: str,
    *,
    refused: ApiError | None = None,
) -> Response:
    asked = _request(owner_of(request), chosen, where)
    asked.validate_only = True
    job = await answer(services_of(request).deliveries.ResendDeliveries(asked))
    return page(
        request,
        "resend_ask.html",
        status=status_of(refused) if refused else 200,
        job=job,
        chosen=chosen,
        filter=where,
        rate=rate,
        message=refused.message if refused else "",
        request_id=request_id,
    )


def _request(owner: str, chosen: Sequence[str], where: str) -> pb.ResendDeliveriesRequest:
    if not all(ID.fullmatch(each) for each in chosen):
        raise HTTPException(404)
    names = [delivery_name(owner, each) for each in chosen]
    return pb.ResendDeliveriesRequest(parent=owner, names=names, filter="" if chosen else where)


def _rate(form: Form) -> int:
    rate = text(form, "rate")
    if not rate:
        return 0
    if not rate.isdecimal() or len(rate) > 9:  # noqa: PLR2004 - an int32 has nine whole digits
        raise HTTPException(400)
    return int(rate)


def _to_job(request: Request, name: str) -> Response:
    return RedirectResponse(f"/{owner_of(request)}/resend/jobs/{name.rpartition('/')[2]}", 303)
