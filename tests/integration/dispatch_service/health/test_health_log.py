"""
The effects of outcomes on the health of endpoints, on SQLite and on PostgreSQL.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from dispatch_service.domain.outcomes import FailureKind
from dispatch_service.domain.transitions import fail, retry, succeed
from dispatch_service.domain.work import Claimed, Settlement
from dispatch_service.feed import backlog_updates, overrides, reports, snapshot
from dispatch_service.feed.backlog_updater import BacklogUpdater
from dispatch_service.health import rows as health_store
from dispatch_service.health.health_log import HealthLog
from dispatch_service.intake.skipped import SkippedCounts
from dispatch_service.queue.protocol import Queue
from dispatch_service.routing.index import SubscriptionIndex
from dispatch_service.routing.subscriptions import Subscription
from dispatch_service.storage.schema import (
    deliveries,
    endpoint_reports,
    subscription_health,
    subscription_overrides,
)
from dispatch_service.storage.sealing import DayKeys
from service_runtime.database.engine import reading, writing
from service_runtime.database.instants import after
from service_runtime.keys.keyring import KeyRing
from shipedge.webhooks.config.v1 import (
    endpoint_event_pb2,
    subscription_pb2,
)
from shipedge.webhooks.feed.v1 import (
    feed_service_pb2,
)
from tests.support.dispatch_factories import (
    LEASE,
    attempt,
    claimed_of,
    new_delivery,
    new_event,
    subscription,
)

pytestmark = pytest.mark.anyio

Kind = endpoint_event_pb2.EndpointEvent.Kind
RING = KeyRing({"test": b"k" * 32}, b"h" * 32)


class Trial:
    """
    A health log with one subscription, and with subscriptions to events about its endpoint.
    """

    def __init__(self, store: AsyncEngine, queue: Queue, index: SubscriptionIndex, keys: DayKeys):
        self.store = store
        self.queue = queue
        self.index = index
        self.log = HealthLog(queue, index, keys, LEASE, report_after=timedelta(minutes=1))

    async def deliver(self, *outcomes: str) -> None:
        """
        Deliver an event for each outcome and settle all of them in one group.
        """
        events = [new_event(new_delivery(leased=True)) for _ in outcomes]
        await self.queue.insert(events, LEASE)
        held = [claimed_of(it) for it in events]
        settlements = [settled(*pair) for pair in zip(held, outcomes, strict=True)]
        await self.queue.settle(settlements, self.log.on_settled)

    async def reports(self) -> list[Any]:
        """
        Return the kinds of the reports for the config service.
        """
        async with reading(self.store) as db:
            rows = await reports.oldest_reports(db, 100)
        found = [endpoint_event_pb2.EndpointEvent.FromString(row.report) for row in rows]
        return [Kind.Name(it.kind) for it in found]

    async def webhooks(self) -> list[str]:
        """
        Return the event types of the deliveries about webhooks.
        """
        query = sa.select(deliveries.c.event_type).order_by(deliveries.c.create_time)
        async with reading(self.store) as db:
            found = (await db.execute(query)).scalars()
            return [it for it in found if it.startswith("webhooks/")]

    async def time_passes(self, span: timedelta) -> None:
        """
        Move the first failures into the past.
        """
        async with writing(self.store) as db:
            values = {"failing_since": after(-span)}
            await db.execute(sa.update(subscription_health).values(values))


def settled(claimed: Claimed, outcome: str) -> Settlement:
    """
    Return the settlement of an outcome: ok, failed or gone.
    """
    if outcome == "ok":
        return Settlement(claimed, succeed(0), attempt(claimed), 200)
    kind = FailureKind.HTTP_STATUS
    code = 410 if outcome == "gone" else 500
    record = attempt(claimed, status="FAILURE", failure_kind=kind, response_code=code)
    again = retry(1, timedelta(hours=1), kind)
    return Settlement(claimed, fail(0, kind, gone=True) if outcome == "gone" else again, record)


def watching(event_type: str) -> Subscription:
    """
    Return a subscription to an event type about webhooks.
    """
    return subscription(
        subscription_id=event_type.rpartition("/")[2], event_type=event_type, payload_version="v3"
    )


@pytest.fixture
async def trial(store: AsyncEngine, queue: Queue) -> Trial:
    """
    Return a trial.
    """
    keys = DayKeys(store, RING, lambda: datetime.now(UTC))  # noqa: TID251 - the tests' clock
    await keys.today()
    index = SubscriptionIndex(received=True, complete=True)
    index.put(subscription(deactivate_after=timedelta(hours=1)))
    for name in ("failing", "recovered", "deactivated"):
        index.put(watching(f"webhooks/endpoint_{name}"))
    return Trial(store, queue, index, keys)


async def test_success_of_a_healthy_endpoint_costs_nothing(trial: Trial) -> None:
    """
    A success without earlier failures reads and writes nothing.
    """
    event = new_event(new_delivery(leased=True))
    nothing: Any = object()  # every use of it fails

    await trial.log.on_settled(nothing, [settled(claimed_of(event), "ok")])


async def test_failing_and_recovery_are_reported_once(trial: Trial) -> None:
    """
    Three failures over a minute are reported, to the config service and as a webhook, and so is
    the next success.
    """
    await trial.deliver("failed", "failed")
    await trial.time_passes(timedelta(minutes=2))
    assert await trial.reports() == []

    await trial.deliver("failed", "failed")
    await trial.deliver("ok", "ok")

    assert await trial.reports() == ["KIND_FAILING", "KIND_RECOVERED"]
    assert await trial.webhooks() == ["webhooks/endpoint_failing", "webhooks/endpoint_recovered"]
    async with reading(trial.store) as db:
        assert await health_store.failing(db) == set()


async def test_gone_ends_the_subscription_at_once(trial: Trial) -> None:
    """
    410 makes the subscription Inactive in this service before the config service knows: nothing
    more is matched or sent, and the backlog is suspended soon after.
    """
    await trial.deliver("failed", "gone")
    await BacklogUpdater(trial.store, LEASE.duration, lambda: None).run_once()

    assert await trial.reports() == ["KIND_GONE"]
    assert await trial.webhooks() == ["webhooks/endpoint_deactivated"]
    (known,) = trial.index.live("accounts/100")["orders/shipped"].values()
    assert not known.active
    async with reading(trial.store) as db:
        waiting = deliveries.c.state == "PENDING"
        mine = deliveries.c.event_type == "orders/shipped"
        (row,) = (await db.execute(sa.select(deliveries).where(waiting, mine))).all()
    assert row.due_time == row.expire_time


async def test_gone_of_an_outdated_revision_suspends_nothing(trial: Trial) -> None:
    """
    If another process has stored a newer revision already, a 410 concerns the old one: it is
    reported, but the backlog is not suspended.
    """
    change = feed_service_pb2.FeedChange(revision=2)
    change.subscription.subscription.name = "accounts/100/subscriptions/shipped"
    async with writing(trial.store) as db:
        await snapshot.store_changes(db, [change], RING, lambda _: "https://example.com:443")

    await trial.deliver("gone")

    assert await trial.reports() == ["KIND_GONE"]
    async with reading(trial.store) as db:
        assert await overrides.overrides(db) == {}
        assert await backlog_updates.due(db) == []


async def test_long_failure_deactivates(trial: Trial) -> None:
    """
    An endpoint that fails for `deactivate_after` deactivates its subscription.
    """
    await trial.deliver("failed")
    await trial.time_passes(timedelta(hours=2))

    await trial.deliver("failed")

    assert await trial.reports() == ["KIND_DEACTIVATED"]
    assert await trial.webhooks() == ["webhooks/endpoint_deactivated"]


async def test_override_holds_in_all_processes_until_a_newer_revision(trial: Trial) -> None:
    """
    The subscription is Inactive for other processes too, until its owner changes it.
    """
    await trial.deliver("gone")
    other = SubscriptionIndex()
    other.put(subscription())
    keys = DayKeys(trial.store, RING, lambda: datetime.now(UTC))  # noqa: TID251 - the tests' clock
    log = HealthLog(trial.queue, other, keys, LEASE, report_after=timedelta(minutes=1))
    await log.load(trial.store)
    assert not other.by_name["accounts/100/subscriptions/shipped"].active
    other.put(subscription())
    assert not other.by_name["accounts/100/subscriptions/shipped"].active

    change = feed_service_pb2.FeedChange(
        revision=2,
        subscription=feed_service_pb2.FeedSubscription(
            subscription=subscription_pb2.Subscription(
                name="accounts/100/subscriptions/shipped",
                status=subscription_pb2.Subscription.STATUS_ACTIVE,
                url="https://example.com/hooks",
            )
        ),
    )
    async with writing(trial.store) as db:
        await snapshot.store_changes(db, [change], RING, lambda _: "https://example.com:443")
    other.put(subscription(revision=2))

    assert other.by_name["accounts/100/subscriptions/shipped"].active
    async with reading(trial.store) as db:
        assert await overrides.overrides(db) == {}


async def test_internal_failures_do_not_count(trial: Trial) -> None:
    """
    An internal failure does not count against the receiver.
    """
    event = new_event(new_delivery(leased=True))
    await trial.queue.insert([event], LEASE)
    held = claimed_of(event)
    record = attempt(held, status="FAILURE", failure_kind=FailureKind.INTERNAL, response_code=None)
    broken = retry(1, timedelta(), FailureKind.INTERNAL)

    await trial.queue.settle([Settlement(held, broken, record)], trial.log.on_settled)

    async with reading(trial.store) as db:
        assert await health_store.failing(db) == set()


async def test_skipped_events_are_counted(store: AsyncEngine) -> None:
    """
    Events that an Inactive subscription would have got are counted and reported together.
    """
    counter = SkippedCounts()
    paused = subscription(active=False)
    counter.count([paused])
    counter.count([paused])

    async with writing(store) as db:
        await counter.store(db)

    assert not counter
    async with reading(store) as db:
        (row,) = (await db.execute(sa.select(endpoint_reports))).all()
        assert (await db.execute(sa.select(subscription_overrides))).all() == []
    report = endpoint_event_pb2.EndpointEvent.FromString(row.report)
    assert (Kind.Name(report.kind), report.skipped_event_count) == ("KIND_EVENTS_SKIPPED", 2)
