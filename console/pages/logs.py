"""
The tab Webhook logs: attempts, and one attempt.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping

from google.protobuf.duration_pb2 import Duration
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from console.pages.paths import ID, delivery_of, may_of, owner_of, services_of
from console.rpc.filters import days, equals, texts
from console.rpc.names import attempt_name, delivery_name, subscription_name
from console.rpc.services import answer
from console.web.rendering import indented, page
from console.words import results
from shipedge.webhooks.client.errors import ApiError
from shipedge.webhooks.dispatch.v1 import delivery_service_pb2 as pb
from shipedge.webhooks.dispatch.v1.attempt_pb2 import Attempt

_STATUSES = {"success": "SUCCESS", "failure": "FAILURE"}
_PHASES = {"dns": "DNS", "connect": "Connect", "tls": "TLS", "first_byte": "First byte"}
_DELIVERY = re.compile(r"[A-Za-z0-9_-]{1,128}")


async def show_list(request: Request) -> Response:
    """
    Show the attempts of an owner, newest first.
    """
    services, query = services_of(request), defaultdict(str, request.query_params)
    delivery = query.get("delivery", "") or "-"
    if delivery != "-" and not _DELIVERY.fullmatch(delivery):
        raise HTTPException(404)
    answered = await answer(
        services.deliveries.ListAttempts(
            pb.ListAttemptsRequest(
                parent=delivery_name(owner_of(request), delivery),
                filter=log_filter(query, owner_of(request)),
                page_token=query.get("page", ""),
            )
        )
    )
    return page(
        request,
        "logs.html",
        attempts=answered.attempts,
        events=[each.type for each in await services.event_types()],
        query=query,
        next_page=answered.next_page_token,
    )


def log_filter(query: Mapping[str, str], owner: str) -> str:
    """
    Return the filter of a list of attempts. Days are whole days in UTC.
    """
    parts = [
        *days(query, "start_time"),
        *texts(query, {"event": "event_type", "url": "url"}),
    ]
    if ID.fullmatch(query.get("webhook", "")):
        parts.append(equals("subscription", subscription_name(owner, query["webhook"])))
    if query.get("status", "") in _STATUSES:
        parts.append(f"status = {_STATUSES[query['status']]}")
    return " AND ".join(parts)


async def show_attempt(request: Request) -> Response:
    """
    Show one attempt with its delivery and all attempts of that.
    """
    services, of_attempt = services_of(request), delivery_of(request)
    name = attempt_name(of_attempt, request.path_params["number"])
    attempt = await answer(services.deliveries.GetAttempt(pb.GetAttemptRequest(name=name)))
    delivery = await answer(services.deliveries.GetDelivery(pb.GetDeliveryRequest(name=of_attempt)))
    all_attempts = pb.ListAttemptsRequest(parent=of_attempt)
    attempts = await answer(services.deliveries.ListAttempts(all_attempts))
    happened, advice = results.explained(attempt)
    return page(
        request,
        "attempt.html",
        attempt=attempt,
        delivery=delivery,
        attempts=attempts.attempts,
        happened=happened,
        advice=advice,
        phases=_phases(attempt),
        sent=await _body_of(request, of_attempt),
        answered=attempt.response.body.decode(errors="replace"),
    )


async def _body_of(request: Request, delivery: str) -> str:
    services = services_of(request)
    if not may_of(request).operate:
        return "Your role does not show payloads."
    try:
        body = await answer(
            services.deliveries.GetDeliveryBody(pb.GetDeliveryBodyRequest(name=delivery))
        )
    except ApiError as refused:
        # Erased: the rest of the page is shown all the same.
        return refused.message
    return indented(body.body.decode())


def _phases(attempt: Attempt) -> dict[str, Duration]:
    known = {_PHASES[field.name]: value for field, value in attempt.timings.ListFields()}
    return known | {"Whole attempt": attempt.duration}
