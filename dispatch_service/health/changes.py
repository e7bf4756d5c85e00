"""
A change of an endpoint as its owner learns of it: over the config service, and as
a webhook. No I/O, no clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from dispatch_service.health.judge import Change, Health
from dispatch_service.routing.subscriptions import Subscription
from shipedge.webhooks.config.v1 import endpoint_event_pb2
from shipedge.webhooks.events.v1 import endpoint_pb2, event_pb2, states_pb2

SYSTEM_TYPES = "webhooks/"
"""
What the event types about webhooks begin with; their own deliveries raise none.
"""

_KINDS: Mapping[Change, endpoint_event_pb2.EndpointEvent.Kind.ValueType] = {
    Change.FAILING: endpoint_event_pb2.EndpointEvent.KIND_FAILING,
    Change.RECOVERED: endpoint_event_pb2.EndpointEvent.KIND_RECOVERED,
    Change.GONE: endpoint_event_pb2.EndpointEvent.KIND_GONE,
    Change.DEACTIVATED: endpoint_event_pb2.EndpointEvent.KIND_DEACTIVATED,
}

_STATES: Mapping[Change, states_pb2.EndpointState.ValueType] = {
    Change.FAILING: states_pb2.ENDPOINT_STATE_FAILING,
    Change.RECOVERED: states_pb2.ENDPOINT_STATE_RECOVERED,
    Change.GONE: states_pb2.ENDPOINT_STATE_DEACTIVATED,
    Change.DEACTIVATED: states_pb2.ENDPOINT_STATE_DEACTIVATED,
}

_REASONS = {Change.GONE: "gone", Change.DEACTIVATED: "failing"}


@dataclass(frozen=True, slots=True)
class EndpointChange:
    """
    What changed, when, and how the last attempt went.
    """

    change_id: str
    subscription: Subscription
    change: Change
    now: datetime
    health: Health | None
    failure_kind: str = ""
    response_code: int = 0

    @property
    def raises_webhooks(self) -> bool:
        """
        Whether others are told by webhook: not of an endpoint for such webhooks itself.
        """
        return not self.subscription.event_type.startswith(SYSTEM_TYPES)


def report_of(it: EndpointChange) -> endpoint_event_pb2.EndpointEvent:
    """
    Write what the config service is told.
    """
    report = endpoint_event_pb2.EndpointEvent(
        endpoint_event_id=it.change_id,
        subscription=it.subscription.name,
        subscription_revision=it.subscription.revision,
        kind=_KINDS[it.change],
        failure_kind=it.failure_kind,
        response_code=it.response_code,
    )
    report.occur_time.FromDatetime(it.now)
    if it.health is not None:
        report.failing_since.FromDatetime(it.health.failing_since)
    return report


def event_of(it: EndpointChange) -> event_pb2.Event:
    """
    Make the event of the owner that is delivered as a webhook.
    """
    kind, _, owner_id = it.subscription.owner.partition("/")
    event = event_pb2.Event(
        event_id=f"endpoint_{it.change_id}",
        account_id=int(owner_id) if kind == "accounts" else 0,
        warehouses=[] if kind == "accounts" else [owner_id],
        sequence=(it.now - datetime.fromtimestamp(0, it.now.tzinfo)) // timedelta(microseconds=1),
        endpoint_state_changed=endpoint_pb2.EndpointStateChanged(
            subscription=it.subscription.name,
            subscribed_event_type=it.subscription.event_type,
            url=it.subscription.url_shown,
            state=_STATES[it.change],
            failure_kind=it.failure_kind,
            response_code=it.response_code,
            reason=_REASONS.get(it.change, ""),
        ),
    )
    event.occurred_at.FromDatetime(it.now)
    if it.health is not None:
        changed = event.endpoint_state_changed
        changed.failing_since.FromDatetime(it.health.failing_since)
        changed.failing_for.FromTimedelta(it.now - it.health.failing_since)
        changed.failed_attempts = it.health.failed_attempts
    return event
