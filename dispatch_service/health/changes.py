"""
A change of an endpoint as its owner learns of it: as a report of the config service, and as a
webhook. No I/O, no clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from dispatch_service.domain.outcomes import failure_kind_value
from dispatch_service.health.judge import FailureStreak, HealthChange
from dispatch_service.routing.subscriptions import Subscription
from shipedge.webhooks.config.v1 import endpoint_event_pb2
from shipedge.webhooks.events.v1 import endpoint_pb2, event_pb2, states_pb2

SYSTEM_TYPES = "webhooks/"
"""
The prefix of event types about webhooks. Deliveries of such events raise no further ones.
"""

_KINDS: Mapping[HealthChange, endpoint_event_pb2.EndpointEvent.Kind.ValueType] = {
    HealthChange.FAILING: endpoint_event_pb2.EndpointEvent.KIND_FAILING,
    HealthChange.RECOVERED: endpoint_event_pb2.EndpointEvent.KIND_RECOVERED,
    HealthChange.GONE: endpoint_event_pb2.EndpointEvent.KIND_GONE,
    HealthChange.DEACTIVATED: endpoint_event_pb2.EndpointEvent.KIND_DEACTIVATED,
}

_STATES: Mapping[HealthChange, states_pb2.EndpointChange.ValueType] = {
    HealthChange.FAILING: states_pb2.ENDPOINT_CHANGE_FAILING,
    HealthChange.RECOVERED: states_pb2.ENDPOINT_CHANGE_RECOVERED,
    HealthChange.GONE: states_pb2.ENDPOINT_CHANGE_DEACTIVATED,
    HealthChange.DEACTIVATED: states_pb2.ENDPOINT_CHANGE_DEACTIVATED,
}

_REASONS = {HealthChange.GONE: "gone", HealthChange.DEACTIVATED: "failing"}


@dataclass(frozen=True, slots=True)
class EndpointChange:
    """
    A change of the endpoint of a subscription, its time, and the result of the last attempt.

    `streak` is the failures before or with the change.
    """

    change_id: str
    subscription: Subscription
    kind: HealthChange
    now: datetime
    streak: FailureStreak | None
    failure_kind: str = ""
    response_code: int = 0

    @property
    def raises_webhooks(self) -> bool:
        """
        Tell whether webhooks are sent: not about an endpoint that itself gets such webhooks.
        """
        return not self.subscription.event_type.startswith(SYSTEM_TYPES)


def report_of(change: EndpointChange) -> endpoint_event_pb2.EndpointEvent:
    """
    Return the report for the config service.
    """
    report = endpoint_event_pb2.EndpointEvent(
        endpoint_event_id=change.change_id,
        subscription=change.subscription.name,
        subscription_revision=change.subscription.revision,
        kind=_KINDS[change.kind],
        failure_kind=failure_kind_value(change.failure_kind),
        response_code=change.response_code,
    )
    report.occur_time.FromDatetime(change.now)
    if change.streak is not None:
        report.failing_start_time.FromDatetime(change.streak.failing_since)
    return report


def event_of(change: EndpointChange) -> event_pb2.Event:
    """
    Return the event that is delivered to the owner as a webhook.
    """
    subscription, streak, now = change.subscription, change.streak, change.now
    kind, _, owner_id = subscription.owner.partition("/")
    event = event_pb2.Event(
        event_id=f"endpoint_{change.change_id}",
        account_id=int(owner_id) if kind == "accounts" else 0,
        warehouses=[] if kind == "accounts" else [owner_id],
        sequence=(now - datetime.fromtimestamp(0, now.tzinfo)) // timedelta(microseconds=1),
        endpoint_state_changed=endpoint_pb2.EndpointStateChanged(
            subscription=subscription.name,
            subscribed_event_type=subscription.event_type,
            url=subscription.url_shown,
            state=_STATES[change.kind],
            failure_kind=failure_kind_value(change.failure_kind),
            response_code=change.response_code,
            reason=_REASONS.get(change.kind, ""),
        ),
    )
    event.occurred_at.FromDatetime(now)
    if streak is not None:
        changed = event.endpoint_state_changed
        changed.failing_since.FromDatetime(streak.failing_since)
        changed.failing_for.FromTimedelta(now - streak.failing_since)
        changed.failed_attempts = streak.failed_attempts
    return event
