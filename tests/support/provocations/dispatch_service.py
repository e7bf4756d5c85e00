"""
Calls that the dispatch service refuses, by the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from google.rpc import status_pb2

from dispatch_service.api.batches import MOST_EVENTS
from service_runtime.rpc.gate.messages import MESSAGE_BYTES
from shipedge.webhooks.dispatch.v1 import delivery_service_pb2 as pb
from shipedge.webhooks.dispatch.v1 import payload_service_pb2 as payload_pb
from shipedge.webhooks.dispatch.v1 import publisher_service_pb2 as publisher_pb
from shipedge.webhooks.events.v1.event_pb2 import Event
from tests.support.pair import DISPATCH
from tests.support.provocations.scene import (
    ERASED_EVENT,
    KNOWN_EVENT,
    NOTHING,
    OWNER,
    Scene,
    named,
    shipped,
)

_PACKAGE = "/shipedge.webhooks.dispatch.v1"
_NO_DELIVERY = named("deliveries", f"dlv_{NOTHING}")


def _listed(scene: Scene, **values: Any) -> Any:
    request = pb.ListAttemptsRequest(parent=f"{OWNER}/deliveries/-", **values)
    return scene.pair.deliveries.ListAttempts(request)


async def _watched(scene: Scene) -> None:
    request = pb.WatchAttemptsRequest(parent=OWNER, cursor="of-another-watch")
    await scene.pair.deliveries.WatchAttempts(request).read()


def resent(scene: Scene, subscription: str, event: str = KNOWN_EVENT, *, force: bool = True) -> Any:
    """
    Begin to resend a delivery.
    """
    name = scene.delivery(subscription, event)
    return scene.pair.deliveries.ResendDelivery(pb.ResendDeliveryRequest(name=name, force=force))


def previewed(
    scene: Scene, event_type: str, version: str = "v2", event: Event | None = None
) -> Any:
    """
    Begin to preview an event, by default the shipped order.
    """
    return scene.payloads.PreviewPayload(
        payload_pb.PreviewPayloadRequest(
            event=event or shipped("previewed"), event_type=event_type, payload_version=version
        )
    )


CALLS: Mapping[str, Callable[[Scene], Any]] = {
    "BATCH_INVALID": lambda it: it.pair.publish(*[Event(event_id="e")] * (MOST_EVENTS + 1)),
    "FILTER_SYNTAX": lambda it: _listed(it, filter="status ="),
    "PAGE_TOKEN_INVALID": lambda it: _listed(it, page_token="of-another-list"),
    "CURSOR_INVALID": _watched,
    "EVENT_NOT_FOUND": lambda it: it.pair.deliveries.GetEvent(
        pb.GetEventRequest(name=named("events", "none"))
    ),
    "DELIVERY_NOT_FOUND": lambda it: it.pair.deliveries.GetDelivery(
        pb.GetDeliveryRequest(name=_NO_DELIVERY)
    ),
    "ATTEMPT_NOT_FOUND": lambda it: it.pair.deliveries.GetAttempt(
        pb.GetAttemptRequest(name=f"{_NO_DELIVERY}/attempts/1")
    ),
    "RESEND_JOB_NOT_FOUND": lambda it: it.pair.deliveries.GetResendJob(
        pb.GetResendJobRequest(name=named("resendJobs", f"rsj_{NOTHING}"))
    ),
    "REPLAY_JOB_NOT_FOUND": lambda it: it.pair.deliveries.GetReplayJob(
        pb.GetReplayJobRequest(name=named("replayJobs", f"rpj_{NOTHING}"))
    ),
    "RESEND_JOB_ENDED": lambda it: it.pair.deliveries.CancelResendJob(
        pb.CancelResendJobRequest(name=it.resend_job)
    ),
    "REPLAY_JOB_ENDED": lambda it: it.pair.deliveries.CancelReplayJob(
        pb.CancelReplayJobRequest(name=it.replay_job)
    ),
    "SUBSCRIPTION_INACTIVE": lambda it: resent(it, "asleep"),
    "SUBSCRIPTION_DELETED": lambda it: resent(it, "gone"),
    "DELIVERY_SUCCEEDED": lambda it: resent(it, "used", force=False),
    "DELIVERY_ENDED": lambda it: it.pair.deliveries.CancelDelivery(
        pb.CancelDeliveryRequest(name=it.delivery("used"))
    ),
    "BODY_ERASED": lambda it: resent(it, "used", ERASED_EVENT),
    "EVENT_TYPE_NOT_RAISED": lambda it: previewed(it, "orders/canceled"),
    "MESSAGE_MALFORMED": lambda it: it.raw(
        DISPATCH, f"{_PACKAGE}.PublisherService/PublishEvents", b"\xff\xff"
    ),
    "MESSAGE_TOO_LARGE": lambda it: _listed(it, filter="x" * (MESSAGE_BYTES + 1)),
    "METHOD_UNIMPLEMENTED": lambda it: it.raw(
        DISPATCH, f"{_PACKAGE}.PayloadService/SendAnything", b""
    ),
}
"""
What to call for each reason.
"""


def _invalid() -> Event:
    event = shipped("invalid")
    event.order_status_changed.order.ClearField("id")
    return event


def _reused() -> Event:
    event = shipped(KNOWN_EVENT)
    event.order_status_changed.order.store.name = "Another store"
    return event


EVENTS: Mapping[str, Callable[[], Event]] = {"EVENT_INVALID": _invalid, "EVENT_ID_REUSED": _reused}
"""
The events that are refused in a batch that is answered, by the reason.
"""


async def result(scene: Scene, event: Event) -> status_pb2.Status:
    """
    Publish an event; return the status in its result.
    """
    request = publisher_pb.PublishEventsRequest(events=[event, shipped(KNOWN_EVENT)])
    refused, accepted = (await scene.pair.publisher.PublishEvents(request)).results
    assert accepted.HasField("accepted")
    return refused.error
