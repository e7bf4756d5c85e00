"""
Example events of `webhooks/*`: changes of an endpoint's state.
"""

from collections.abc import Callable, Mapping
from typing import Final

from google.protobuf.duration_pb2 import Duration

from dispatch_service.payloads.examples.parts import at
from shipedge.webhooks.events.v1 import failure_kind_pb2
from shipedge.webhooks.events.v1.endpoint_pb2 import EndpointStateChanged
from shipedge.webhooks.events.v1.event_pb2 import ACTOR_KIND_SYSTEM, Actor, Event
from shipedge.webhooks.events.v1.states_pb2 import (
    ENDPOINT_CHANGE_DEACTIVATED,
    ENDPOINT_CHANGE_FAILING,
    ENDPOINT_CHANGE_RECOVERED,
    EndpointChange,
)


def _endpoint(event_id: str, moment: str, change: EndpointStateChanged) -> Event:
    change.subscription = "accounts/100/subscriptions/shipped-orders"
    change.subscribed_event_type = "orders/shipped"
    change.url = "https://example.com/webhooks/…#1f3c09ab"
    return Event(
        event_id=event_id,
        account_id=100,
        occurred_at=at(moment),
        actor=Actor(kind=ACTOR_KIND_SYSTEM),
        endpoint_state_changed=change,
    )


def _changed(state: EndpointChange.ValueType, attempts: int, hours: int) -> EndpointStateChanged:
    return EndpointStateChanged(
        state=state,
        failing_since=at("2024-01-15T10:30:10Z"),
        failed_attempts=attempts,
        failing_for=Duration(seconds=hours * 3600),
    )


def _failing(_: str) -> Event:
    change = _changed(ENDPOINT_CHANGE_FAILING, 20, 1)
    change.failure_kind = failure_kind_pb2.FAILURE_KIND_TIMEOUT
    return _endpoint("018d0ce2-d5d0-7f03-9b6a-2e84c1d7f590", "2024-01-15T11:30:10Z", change)


def _recovered(_: str) -> Event:
    change = _changed(ENDPOINT_CHANGE_RECOVERED, 32, 2)
    return _endpoint("018d0d19-c450-7a68-8d31-f5b02e96c74a", "2024-01-15T12:30:10Z", change)


def _deactivated(_: str) -> Event:
    change = _changed(ENDPOINT_CHANGE_DEACTIVATED, 1, 0)
    change.failure_kind = failure_kind_pb2.FAILURE_KIND_HTTP_STATUS
    change.response_code = 410
    change.reason = "gone"
    return _endpoint("018d0cab-eb50-7d1c-b7e9-043fa8c65d12", "2024-01-15T10:30:10Z", change)


# By event type: the function that makes its example. It is called with the event type.
EXAMPLES: Final[Mapping[str, Callable[[str], Event]]] = {
    "webhooks/endpoint_failing": _failing,
    "webhooks/endpoint_recovered": _recovered,
    "webhooks/endpoint_deactivated": _deactivated,
}
