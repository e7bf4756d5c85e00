"""
What waits for endpoints with open breakers and needs no request, on SQLite and on PostgreSQL alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from dispatch_service.delivery.endpoints import Endpoints
from dispatch_service.delivery.expiry import Expirer
from dispatch_service.delivery.replicas import Replicas
from dispatch_service.domain.outcomes import FailureKind, failed
from dispatch_service.domain.work import Claimed, NewDelivery
from dispatch_service.queue import waiting_moves
from dispatch_service.queue.protocol import Queue
from dispatch_service.routing.index import SubscriptionIndex
from dispatch_service.storage.schema import deliveries, endpoint_states
from service_runtime.database.engine import writing
from service_runtime.database.instants import after
from tests.support.dispatch_factories import LEASE, new_delivery, new_event, subscription
from tests.support.figures import moved

pytestmark = pytest.mark.anyio

ENDPOINT = "https://dead:443"
KEY = ("accounts/100", ENDPOINT)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
USED_UP = {"due_time": after(-HOUR), "expire_time": after(-HOUR), "retries_used": 4}


def to_endpoint(number: int, **over: Any) -> NewDelivery:
    """
    Make a delivery for the endpoint.
    """
    return new_delivery(endpoint=ENDPOINT, subscription=f"s{number}", **over)


async def store_waiting(queue: Queue, count: int, **over: Any) -> None:
    """
    Store events with a delivery each.
    """
    await queue.insert([new_event(to_endpoint(n, **over)) for n in range(count)], LEASE)


async def change(
    store: AsyncEngine, values: Mapping[str, Any], *subscriptions: str, table: sa.Table = deliveries
) -> None:
    """
    Change all rows of a table, or those of some subscriptions.
    """
    update = sa.update(table).values(values)
    if subscriptions:
        update = update.where(deliveries.c.subscription.in_(subscriptions))
    async with writing(store) as db:
        await db.execute(update)


async def open_breaker(
    store: AsyncEngine, *, trips: int = 1, since: timedelta = HOUR, pause: timedelta = -HOUR
) -> None:
    """
    Open the breaker of the endpoint; by default its pause is over.
    """
    endpoints = Endpoints(8)
    for _ in range(5):
        endpoints.record_outcome(KEY, failed(FailureKind.CONNECT, "refused"))
    await Replicas(store, endpoints, "one").sync()
    values = {"open_until": after(pause), "open_since": after(-since), "trips": trips}
    await change(store, values, table=endpoint_states)


async def ended_states(store: AsyncEngine) -> list[tuple[str, str | None]]:
    """
    Return states and kinds of failure, by subscription.
    """
    columns = deliveries.c
    query = sa.select(columns.state, columns.failure_kind).order_by(columns.subscription)
    async with store.connect() as db:
        return [(state, kind) for state, kind in await db.execute(query)]


async def expire(store: AsyncEngine, *inactive: str) -> int:
    """
    End what needs no request, where some subscriptions are Inactive.
    """
    index = SubscriptionIndex()
    for name in inactive:
        index.put(subscription(subscription_id=name, active=False))
    return await Expirer(store, index, lambda: None).run_once()


async def claim(queue: Queue) -> Sequence[Claimed]:
    """
    Claim what a process claims.
    """
    return await queue.claim(LEASE, limit=200, per_endpoint=16, full=())


async def test_probe_is_a_request(queue: Queue, store: AsyncEngine) -> None:
    """
    However much has expired before it, the delivery that needs a request is the probe.
    """
    await store_waiting(queue, 40)
    await change(store, USED_UP)
    await store_waiting(queue, 2)
    await open_breaker(store)

    (probe,) = await claim(queue)

    assert not probe.expired


async def test_what_is_used_up_is_ended_beside_the_probes(queue: Queue, store: AsyncEngine) -> None:
    """
    What has expired is ended, in batches, while the breaker stays open; the rest waits on.
    """
    await store_waiting(queue, 3)
    await change(store, USED_UP, "s1")
    await open_breaker(store, pause=HOUR)

    with moved("webhooks_deliveries_ended_total", state="FAILED", failure_kind="expired") as ended:
        assert await expire(store) == 1

    assert ended() == 1
    assert await ended_states(store) == [
        ("PENDING", None),
        ("FAILED", "expired"),
        ("PENDING", None),
    ]
    assert await expire(store) == 0


async def test_no_outcome_no_end(queue: Queue, store: AsyncEngine) -> None:
    """
    What has never been attempted waits on, whatever its time.
    """
    await store_waiting(queue, 1)
    await change(store, {**USED_UP, "retries_used": 0})
    await open_breaker(store)

    assert await expire(store) == 0
    assert len(await claim(queue)) == 1


@pytest.mark.parametrize(
    ("trips", "since", "late", "ends"),
    [
        (4, 25 * HOUR, 25 * HOUR, True),
        (3, 25 * HOUR, 25 * HOUR, False),
        (4, 23 * HOUR, 25 * HOUR, False),
        (4, 25 * HOUR, 23 * HOUR, False),
    ],
)
async def test_dead_endpoint(
    queue: Queue, store: AsyncEngine, trips: int, since: timedelta, late: timedelta, ends: bool
) -> None:
    """
    After three failed probes, and a day beyond the time of a delivery, they stand as its attempt.
    """
    await store_waiting(queue, 2)
    await change(store, {"due_time": after(-5 * DAY), "expire_time": after(-late)}, "s0")
    await open_breaker(store, trips=trips, since=since)

    assert await expire(store) == ends

    first = ("FAILED", "connect") if ends else ("PENDING", None)
    assert await ended_states(store) == [first, ("PENDING", None)]


async def test_sequence_at_a_dead_endpoint_ends_in_order(queue: Queue, store: AsyncEngine) -> None:
    """
    One after the other ends, up to one that has time left, which is due then.
    """
    for lifetime in (HOUR, HOUR, HOUR, 9 * DAY):
        await queue.insert([new_event(to_endpoint(1, ordered=True, lifetime=lifetime))], LEASE)
    columns = deliveries.c
    old = {
        "due_time": sa.case((columns.due_time.is_not(None), after(-2 * DAY))),
        "expire_time": sa.case(
            (columns.expire_time < after(DAY), after(-2 * DAY)), else_=columns.expire_time
        ),
    }
    await change(store, old)
    await open_breaker(store, trips=9, since=3 * DAY)

    assert await expire(store) == 3

    query = sa.select(columns.state, columns.due_time.is_not(None), columns.end_time)
    async with store.connect() as db:
        rows = (await db.execute(query.order_by(columns.sequence_position))).all()
    assert [(row[0], bool(row[1])) for row in rows] == [("FAILED", False)] * 3 + [("PENDING", True)]
    ends = [row.end_time for row in rows[:3]]
    assert ends == sorted(ends)


async def test_inactive_deliveries_are_cancelled_at_their_time(
    queue: Queue, store: AsyncEngine
) -> None:
    """
    They use up no probe; one whose subscription is Active again is left to be resumed.
    """
    await store_waiting(queue, 3)
    await change(store, waiting_moves.SUSPEND_WAITING.values(endpoint=None, hold_us=None))
    await change(store, {"due_time": after(-HOUR), "expire_time": after(-HOUR)}, "s0", "s1")
    await open_breaker(store)

    assert await claim(queue) == []
    assert await expire(store, "s0", "s2") == 1

    states = [("CANCELLED", "subscription_inactive"), ("PENDING", None), ("PENDING", None)]
    assert await ended_states(store) == states


async def test_held_deliveries_outlast_a_dead_endpoint(queue: Queue, store: AsyncEngine) -> None:
    """
    What is held is ended by the end of its hold alone.
    """
    await store_waiting(queue, 1)
    await change(store, waiting_moves.SUSPEND_WAITING.values(endpoint=None, hold_us=1))
    await change(store, {"due_time": after(-9 * DAY), "expire_time": after(-8 * DAY)})
    await open_breaker(store, trips=9, since=3 * DAY)

    assert await expire(store) == 0


async def test_breaker_stays_open_since_it_opened(store: AsyncEngine) -> None:
    """
    A failed probe, and one that was not sent, change neither the beginning nor the cause.
    """
    endpoints = Endpoints(8)
    replicas = Replicas(store, endpoints, "one")
    for _ in range(5):
        endpoints.record_outcome(KEY, failed(FailureKind.DNS, "no such host"))
    await replicas.sync()
    await change(
        store, {"open_since": after(-DAY), "open_until": after(-HOUR)}, table=endpoint_states
    )
    await replicas.sync()
    endpoints.probe_claimed(KEY)
    endpoints.probe_not_sent(KEY)
    await replicas.sync()
    endpoints.record_outcome(KEY, failed(FailureKind.TIMEOUT, "too late"))

    await replicas.sync()

    columns = endpoint_states.c
    query = sa.select(columns.trips, columns.failure_kind, columns.open_since < after(-HOUR))
    async with store.connect() as db:
        assert [tuple(row) for row in await db.execute(query)] == [(2, "timeout", True)]
