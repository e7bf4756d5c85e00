"""
What is done to one webhook: a page asks first, and says what will happen.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from google.protobuf.duration_pb2 import Duration
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from console.pages import saved
from console.pages.failures import FORBIDDEN, may_have_happened, status_of
from console.pages.paths import may_of, owner_of, services_of, webhook_of
from console.rpc.filters import equals
from console.rpc.services import Services, answer
from console.web.forms import Form, new_request_id, read_form, request_id_of, text
from console.web.rendering import page
from console.words import consequences
from shipedge.webhooks.client.errors import ApiError
from shipedge.webhooks.config.v1 import config_service_pb2 as pb
from shipedge.webhooks.config.v1.subscription_pb2 import Subscription
from shipedge.webhooks.dispatch.v1.delivery_service_pb2 import ListDeliveriesRequest
from shipedge.webhooks.dispatch.v1.payload_service_pb2 import SendTestEventRequest

GRACE = {"24": "24 hours", "1": "1 hour", "168": "7 days", "0": "not at all"}
"""
For how many hours the old secret goes on signing too.
"""

_MOST_COUNTED = 1_000
_SECONDS_OF_AN_HOUR = 3_600


@dataclass(frozen=True, slots=True)
class _Asked:
    request: Request
    services: Services
    name: str
    form: Form


async def ask(request: Request) -> Response:
    """
    Say what will happen, and ask.
    """
    return await _ask(request, new_request_id())


async def act(request: Request) -> Response:
    """
    Do what was asked for; a form that is sent twice does it once.
    """
    form = await read_form(request)
    do = _DOERS[_action_of(request)]
    request_id = request_id_of(form)
    try:
        return await do(_Asked(request, services_of(request), webhook_of(request), form))
    except ApiError as refused:
        kept = request_id if may_have_happened(refused) else new_request_id()
        return await _ask(request, kept, refused=refused)


def _action_of(request: Request) -> str:
    """
    Return the action of a path, one that the reader may take.
    """
    action = str(request.path_params["action"])
    if action not in _DOERS:
        raise HTTPException(404)
    if not getattr(may_of(request), consequences.ACTIONS[action].needs):
        raise HTTPException(403, FORBIDDEN)
    return action


async def _ask(request: Request, request_id: str, *, refused: ApiError | None = None) -> Response:
    action, name, services = (
        request.path_params["action"],
        webhook_of(request),
        services_of(request),
    )
    if action not in _DOERS:
        raise HTTPException(404)
    webhook = await services.webhook(name)
    return page(
        request,
        "action.html",
        status=status_of(refused) if refused else 200,
        question=consequences.ACTIONS[action],
        webhook=webhook,
        waiting=await _waiting(services, owner_of(request), name, action),
        obstacle=consequences.of_test(webhook) if action == "test" else "",
        grace=GRACE if action == "rotate" else {},
        message=refused.message if refused else "",
        request_id=request_id,
    )


async def _waiting(services: Services, owner: str, name: str, action: str) -> str:
    """
    Say what becomes of the deliveries that wait, of any age.
    """
    asked = ListDeliveriesRequest(
        parent=owner,
        filter=f"{equals('subscription', name)} AND state = PENDING"
        ' AND create_time >= "1970-01-01T00:00:00Z"',
        page_size=_MOST_COUNTED,
    )
    if not consequences.of_waiting(action, 0, more=False):
        return ""
    found = await answer(services.deliveries.ListDeliveries(asked))
    return consequences.of_waiting(action, len(found.deliveries), more=bool(found.next_page_token))


async def _test(asked: _Asked) -> Response:
    send = SendTestEventRequest(subscription=asked.name, request_id=request_id_of(asked.form))
    sent = await answer(asked.services.payloads.SendTestEvent(send))
    delivery = sent.delivery.rpartition("/")[2]
    return RedirectResponse(f"/{owner_of(asked.request)}/logs?delivery={delivery}", 303)


async def _rotate(asked: _Asked) -> Response:
    hours = text(asked.form, "grace")
    if hours not in GRACE:
        raise HTTPException(400)
    rotate = pb.RotateSigningSecretRequest(
        name=asked.name,
        grace_period=Duration(seconds=int(hours) * _SECONDS_OF_AN_HOUR),
        request_id=request_id_of(asked.form),
    )
    return saved.lead_to(
        asked.request, await answer(asked.services.config.RotateSigningSecret(rotate))
    )


async def _delete(asked: _Asked) -> Response:
    delete = pb.DeleteSubscriptionRequest(name=asked.name, etag=text(asked.form, "etag"))
    await answer(asked.services.config.DeleteSubscription(delete))
    return _to_list(asked)


async def _undelete(asked: _Asked) -> Response:
    undelete = pb.UndeleteSubscriptionRequest(name=asked.name)
    await answer(asked.services.config.UndeleteSubscription(undelete))
    return _to_list(asked)


async def _activate(asked: _Asked) -> Response:
    return await _set_status(asked, Subscription.STATUS_ACTIVE)


async def _deactivate(asked: _Asked) -> Response:
    return await _set_status(asked, Subscription.STATUS_INACTIVE)


async def _set_status(asked: _Asked, status: Subscription.Status.ValueType) -> Response:
    webhook = Subscription(name=asked.name, status=status, etag=text(asked.form, "etag"))
    change = pb.UpdateSubscriptionRequest(subscription=webhook)
    change.update_mask.paths.append("status")
    await answer(asked.services.config.UpdateSubscription(change))
    return _to_list(asked)


def _to_list(asked: _Asked) -> Response:
    return RedirectResponse(f"/{owner_of(asked.request)}/webhooks", 303)


_DOERS: dict[str, Callable[[_Asked], Awaitable[Response]]] = {
    "test": _test,
    "rotate": _rotate,
    "delete": _delete,
    "undelete": _undelete,
    "activate": _activate,
    "deactivate": _deactivate,
}
