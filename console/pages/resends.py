"""
Sends one delivery again: a page asks first, and says what will happen.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from console.pages.failures import may_have_happened, status_of
from console.pages.paths import delivery_of, owner_of, services_of
from console.rpc.services import answer
from console.web.forms import new_request_id, read_form, request_id_of, text
from console.web.rendering import page
from console.words import consequences
from shipedge.webhooks.client.errors import ApiError
from shipedge.webhooks.dispatch.v1 import delivery_service_pb2 as pb


async def ask(request: Request) -> Response:
    """
    Say what a resend does to the delivery as it is now, and ask.
    """
    return await _ask(request, new_request_id())


async def resend(request: Request) -> Response:
    """
    Send a delivery once more, and show its attempts.

    One that has succeeded since the page was shown is not: the page asks once more.
    """
    form = await read_form(request)
    name, request_id = delivery_of(request), request_id_of(form)
    asked = pb.ResendDeliveryRequest(
        name=name, force=text(form, "force") == "yes", request_id=request_id
    )
    try:
        await answer(services_of(request).deliveries.ResendDelivery(asked))
    except ApiError as refused:
        kept = request_id if may_have_happened(refused) else new_request_id()
        return await _ask(request, kept, refused=refused)
    return RedirectResponse(f"/{owner_of(request)}/logs?delivery={name.rpartition('/')[2]}", 303)


async def _ask(request: Request, request_id: str, *, refused: ApiError | None = None) -> Response:
    get = pb.GetDeliveryRequest(name=delivery_of(request))
    delivery = await answer(services_of(request).deliveries.GetDelivery(get))
    return page(
        request,
        "resend_one.html",
        status=status_of(refused) if refused else 200,
        delivery=delivery,
        follows=consequences.of_resend(delivery),
        force=consequences.needs_force(delivery),
        message=refused.message if refused else "",
        request_id=request_id,
    )
