"""
Endpoint events that the dispatch service reports, and their effects on subscriptions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from config_service.store import subscription_status, subscription_store
from config_service.store.audit import differences, shown_fields
from config_service.store.endpoint_events import event_rows
from config_service.store.rows import SubscriptionRow
from config_service.store.schema import endpoint_events
from config_service.store.store import Sealing, Store
from service_runtime.rpc import names
from service_runtime.rpc.errors import FieldFaults, InvalidArgument
from shipedge.webhooks.config.v1.endpoint_event_pb2 import EndpointEvent
from shipedge.webhooks.config.v1.subscription_pb2 import EndpointHealth, Subscription
from shipedge.webhooks.feed.v1 import (
    feed_service_pb2,
)

MOST_EVENTS = 1000

_HEALTH = {
    EndpointEvent.KIND_FAILING: EndpointHealth.STATE_FAILING,
    EndpointEvent.KIND_RECOVERED: EndpointHealth.STATE_HEALTHY,
    EndpointEvent.KIND_GONE: EndpointHealth.STATE_GONE,
    EndpointEvent.KIND_DEACTIVATED: EndpointHealth.STATE_FAILING,
    EndpointEvent.KIND_ERROR: EndpointHealth.STATE_ERROR,
    EndpointEvent.KIND_URL_VERIFIED: EndpointHealth.STATE_HEALTHY,
    EndpointEvent.KIND_URL_NOT_VERIFIED: EndpointHealth.STATE_UNVERIFIED,
}
_DEACTIVATES = {
    EndpointEvent.KIND_GONE: "GONE",
    EndpointEvent.KIND_DEACTIVATED: "FAILING",
}


def check(request: feed_service_pb2.ReportEndpointEventsRequest) -> None:
    """
    Check a report. Raises `InvalidArgument` with all that is wrong.
    """
    faults = FieldFaults()
    if len(request.endpoint_events) > MOST_EVENTS:
        faults.add("endpoint_events", f"must hold at most {MOST_EVENTS}")
    for index, event in enumerate(request.endpoint_events[:MOST_EVENTS]):
        path = f"endpoint_events[{index}]"
        if not event.endpoint_event_id:
            faults.add(f"{path}.endpoint_event_id", "is required")
        if event.kind == EndpointEvent.KIND_UNSPECIFIED:
            faults.add(f"{path}.kind", "is required")
        try:
            names.parse("subscription", event.subscription)
        except InvalidArgument:
            faults.add(f"{path}.subscription", "must be the name of a subscription")
    faults.raise_if_any()


async def store(db: AsyncConnection, events: Iterable[EndpointEvent], into: Store) -> int:
    """
    Store the events that are new and apply them; return how many are stale.
    """
    stale = 0
    changed: list[SubscriptionRow] = []
    for event in events:
        known = sa.select(endpoint_events.c.stale).where(
            endpoint_events.c.endpoint_event_id == event.endpoint_event_id
        )
        was_stale = (await db.execute(known)).scalar_one_or_none()
        if was_stale is None:
            was_stale = await _store_one(db, event, into.sealing, changed)
        stale += bool(was_stale)
    # Last, because others wait for the audit log.
    for before in changed:
        await _record(db, before, into)
    return stale


async def _record(db: AsyncConnection, before: SubscriptionRow, into: Store) -> None:
    """
    Write in the audit log that the status of a subscription, which was as *before*, has changed.
    """
    now = await subscription_store.find(db, before.owner, before.subscription_id)
    was, become = (_status(it) for it in (before, now or before))
    name = names.subscription(before.owner, before.subscription_id)
    changes = differences(was, become)
    await into.audit.record(db, "ReportEndpointEvents", name, changes, caller="system")


def _status(row: SubscriptionRow) -> Mapping[str, str]:
    return shown_fields(
        Subscription(
            status=Subscription.Status.Value(f"STATUS_{row.status}"),
            status_reason=Subscription.StatusReason.Value(f"STATUS_REASON_{row.status_reason}"),
        )
    )


async def _store_one(
    db: AsyncConnection, event: EndpointEvent, sealing: Sealing, changed: list[SubscriptionRow]
) -> bool:
    name = names.parse("subscription", event.subscription)
    row = await subscription_store.find(db, name.owner, name.id)
    stale = row is None or row.delete_time is not None or _is_outdated(event, row)
    if row is not None and not stale and await _apply(db, row, event, sealing):
        changed.append(row)
    await event_rows.insert(db, name.owner, event, stale=stale)
    return stale


def _is_outdated(event: EndpointEvent, row: SubscriptionRow) -> bool:
    # Skipped events stay skipped, whatever the subscription has become since.
    skipped = event.kind == EndpointEvent.KIND_EVENTS_SKIPPED
    return not skipped and event.subscription_revision < row.revision


async def _apply(
    db: AsyncConnection, row: SubscriptionRow, event: EndpointEvent, sealing: Sealing
) -> bool:
    """
    Apply an event to its subscription: health, number of skipped events, status. Return whether
    the status has changed.
    """
    if event.kind == EndpointEvent.KIND_EVENTS_SKIPPED:
        at = event.occur_time.ToDatetime(tzinfo=UTC)
        count = row.skipped_event_count + event.skipped_event_count
        counted = {"skipped_event_count": count, "last_skipped_time": at}
        await subscription_store.set_columns(db, row, counted)
        return False
    if event.kind in _HEALTH:
        health = EndpointHealth(
            state=_HEALTH[event.kind],
            failure_kind=event.failure_kind,
            response_code=event.response_code,
            report_time=event.occur_time,
        )
        if event.HasField("failing_start_time") and event.kind != EndpointEvent.KIND_RECOVERED:
            health.failing_start_time.CopyFrom(event.failing_start_time)
        await subscription_store.set_columns(
            db, row, {"endpoint_health": health.SerializeToString()}
        )
    return await _set_status(db, row, event, sealing)


async def _set_status(
    db: AsyncConnection, row: SubscriptionRow, event: EndpointEvent, sealing: Sealing
) -> bool:
    reason = _DEACTIVATES.get(event.kind)
    if reason is not None and row.status == "ACTIVE":
        await subscription_status.deactivate(db, row, reason, sealing)
        return True
    if event.kind == EndpointEvent.KIND_URL_VERIFIED and row.unverified:
        await subscription_status.activate_verified(db, row, sealing)
        return True
    return False
