"""
The tab Webhooks: the list, and what is done to one webhook.
"""

from __future__ import annotations

from collections import defaultdict

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from console.pages.paths import owner_of, services_of, webhook_of
from console.rpc.services import Services, answer
from console.web.forms import read_form
from console.web.rendering import page
from shipedge.webhooks.config.v1 import config_service_pb2 as pb
from shipedge.webhooks.config.v1.subscription_pb2 import Subscription
from shipedge.webhooks.dispatch.v1.payload_service_pb2 import SendTestEventRequest

_STATUSES = {"active": "ACTIVE", "inactive": "INACTIVE"}


async def show_list(request: Request) -> Response:
    """
    Show the webhooks of an owner, by event and status.
    """
    services, query = services_of(request), request.query_params
    catalogue = await services.event_types()
    answered = await answer(
        services.config.ListSubscriptions(
            pb.ListSubscriptionsRequest(
                parent=owner_of(request),
                filter=list_filter(query.get("event", ""), query.get("status", "")),
                show_deleted=query.get("status", "") == "deleted",
                page_token=query.get("page", ""),
            )
        )
    )
    return page(
        request,
        "webhooks.html",
        webhooks=_shown(list(answered.subscriptions), query.get("status", "")),
        titles={each.type: each.title for each in catalogue},
        query=defaultdict(str, query),
        next_page=answered.next_page_token,
    )


def _shown(webhooks: list[Subscription], status: str) -> list[Subscription]:
    deleted = status == "deleted"
    return [webhook for webhook in webhooks if webhook.HasField("delete_time") or not deleted]


def list_filter(event: str, status: str) -> str:
    """
    Return the filter of a list of webhooks.
    """
    parts = [f"event_type = {quoted(event)}"] * bool(event)
    if status in _STATUSES:
        parts.append(f"status = {_STATUSES[status]}")
    return " AND ".join(parts)


def quoted(value: str) -> str:
    """
    Return *value* as a text of a filter.
    """
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


async def act(request: Request) -> Response:
    """
    Do what a button of a webhook says.
    """
    await read_form(request)
    services, name = services_of(request), webhook_of(request)
    here = f"/{owner_of(request)}/webhooks"
    match request.path_params["action"]:
        case "test":
            return await _send_test(request, services, name)
        case "rotate":
            return await _rotate(request, services, name)
        case "delete":
            await answer(
                services.config.DeleteSubscription(pb.DeleteSubscriptionRequest(name=name))
            )
        case "undelete":
            undelete = pb.UndeleteSubscriptionRequest(name=name)
            await answer(services.config.UndeleteSubscription(undelete))
        case "activate":
            await _set_status(services, name, Subscription.STATUS_ACTIVE)
        case "deactivate":
            await _set_status(services, name, Subscription.STATUS_INACTIVE)
        case _:
            raise HTTPException(404)
    return RedirectResponse(here, 303)


async def _send_test(request: Request, services: Services, name: str) -> Response:
    sent = await answer(services.payloads.SendTestEvent(SendTestEventRequest(subscription=name)))
    delivery = sent.delivery.rpartition("/")[2]
    return RedirectResponse(f"/{owner_of(request)}/logs?delivery={delivery}", 303)


async def _rotate(request: Request, services: Services, name: str) -> Response:
    rotate = pb.RotateSigningSecretRequest(name=name)
    rotated = await answer(services.config.RotateSigningSecret(rotate))
    return page(request, "secret.html", webhook=rotated)


async def _set_status(services: Services, name: str, status: Subscription.Status.ValueType) -> None:
    change = pb.UpdateSubscriptionRequest(subscription=Subscription(name=name, status=status))
    change.update_mask.paths.append("status")
    await answer(services.config.UpdateSubscription(change))
