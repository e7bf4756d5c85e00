"""
What metrics say of deliveries, on SQLite and on PostgreSQL alike.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace
from sqlalchemy.ext.asyncio import AsyncEngine

from dispatch_service.delivery.claim import Claimer, Places
from dispatch_service.delivery.endpoint_queue import Ready
from dispatch_service.delivery.endpoint_queues import EndpointQueues
from dispatch_service.delivery.endpoints import Endpoints
from dispatch_service.delivery.held_leases import HeldLeases
from dispatch_service.delivery.results import ResultWriter
from dispatch_service.delivery.send import FinishedAttempt
from dispatch_service.delivery.suspect_attempts import SuspectAttempts
from dispatch_service.delivery.suspects import Suspects
from dispatch_service.domain.memory_usage import Bounds
from dispatch_service.domain.outcomes import FailureKind, Response, Timings, failed, from_response
from dispatch_service.domain.transitions import State, Trigger, WaitReason, fail, succeed
from dispatch_service.domain.work import Lease, Requeue, Settlement
from dispatch_service.queue.protocol import Queue
from dispatch_service.routing.index import SubscriptionIndex
from dispatch_service.storage.sealing import DayKeys
from dispatch_service.upkeep.queue_states import QueueStates
from tests.support.dispatch_factories import (
    LEASE,
    NOW,
    attempt,
    claimed_of,
    new_delivery,
    new_event,
    subscription,
)
from tests.support.figures import figure, moved
from tests.support.running_intake import day_keys

pytestmark = pytest.mark.anyio

EXPIRED = Lease("worker-1", timedelta(seconds=-1))
WAITED, SECONDS = 0.04, 0.5
FIRST = "webhooks_publish_to_first_attempt_seconds"
SUCCESS = "webhooks_publish_to_success_seconds"
PHASES = "webhooks_attempt_phase_seconds"
ENDED = "webhooks_deliveries_ended_total"


@pytest.fixture
def keys(store: AsyncEngine) -> DayKeys:
    """
    Return the keys that seal what the log keeps of attempts.
    """
    return day_keys(store)


async def test_attempt_is_observed_when_it_is_written(queue: Queue, keys: DayKeys) -> None:
    """
    How long the delivery waited, how long until it succeeded, its steps, and its end.
    """
    event = new_event(new_delivery(leased=True))
    await queue.insert([event], LEASE)
    timings = Timings(
        dns_us=1000, connect_us=2000, tls_us=3000, first_byte_us=400_000, total_us=500_000
    )
    outcome = from_response(Response(status_code=200, timings=timings), lambda: NOW)
    claimed = claimed_of(event)
    writer = ResultWriter(queue, SubscriptionIndex(), keys)
    writer.settle(FinishedAttempt(claimed, subscription(), outcome, (), NOW, WAITED, SECONDS))

    with (
        moved(f"{FIRST}_sum") as waited,
        moved(f"{SUCCESS}_sum") as succeeded,
        moved(f"{PHASES}_sum", phase="dns") as dns,
        moved(f"{PHASES}_sum", phase="total") as total,
        moved(ENDED, state="SUCCEEDED", failure_kind="") as ended,
        moved("webhooks_batch_items_sum", kind="settle") as items,
        moved("webhooks_batch_seconds_count", kind="settle") as batches,
    ):
        await writer.flush_once()

    assert waited() == pytest.approx(WAITED)
    assert succeeded() == pytest.approx(WAITED + SECONDS)
    assert (dns(), total()) == pytest.approx((0.001, 0.5))
    assert (ended(), items(), batches()) == (1, 1, 1)


@pytest.mark.parametrize(
    ("trigger", "number", "first", "success"),
    [
        (Trigger.EVENT, 1, 1, 1),
        (Trigger.RETRY, 2, 0, 1),
        (Trigger.RESEND, 3, 0, 0),
        (Trigger.TEST, 1, 0, 0),
    ],
)
async def test_only_published_events_have_a_latency(
    queue: Queue, keys: DayKeys, trigger: Trigger, number: int, first: int, success: int
) -> None:
    """
    A resend months later says nothing of how fast events are delivered.
    """
    event = new_event(new_delivery(leased=True))
    await queue.insert([event], LEASE)
    outcome = from_response(Response(status_code=200), lambda: NOW)
    claimed = replace(claimed_of(event), trigger=trigger, number=number)
    writer = ResultWriter(queue, SubscriptionIndex(), keys)
    writer.settle(FinishedAttempt(claimed, subscription(), outcome, (), NOW, WAITED, SECONDS))

    with moved(f"{FIRST}_count") as waited, moved(f"{SUCCESS}_count") as succeeded:
        await writer.flush_once()

    assert (waited(), succeeded()) == (first, success)


async def test_deliveries_that_fail_for_good_are_counted_by_kind(
    queue: Queue, keys: DayKeys
) -> None:
    """
    One that is retried has not ended.
    """
    events = [new_event(new_delivery(leased=True)) for _ in range(2)]
    await queue.insert(events, LEASE)
    patient = subscription(schedule=(timedelta(seconds=5),))
    outcome = failed(FailureKind.CONNECT, "refused")
    writer = ResultWriter(queue, SubscriptionIndex(), keys)
    writer.settle(FinishedAttempt(claimed_of(events[0]), patient, outcome, (), NOW))
    writer.settle(Settlement(claimed_of(events[1]), fail(0, FailureKind.POISON), None))

    with (
        moved(ENDED, state="FAILED", failure_kind="connect") as refused,
        moved(ENDED, state="FAILED", failure_kind="poison") as poisoned,
        moved("webhooks_results_late_total") as late,
    ):
        await writer.flush_once()

    assert (refused(), poisoned(), late()) == (1 - len(patient.schedule), 1, 0)


async def test_lost_leases_count_on_both_sides(queue: Queue, keys: DayKeys) -> None:
    """
    The process that claims takes a lease over; the result of the other one is late.
    """
    event = new_event(new_delivery(leased=True))
    await queue.insert([event], EXPIRED)
    stale = claimed_of(event)
    with moved("webhooks_leases_taken_over_total") as taken_over:
        await queue.claim(LEASE, limit=9, per_endpoint=9, full=())
    writer = ResultWriter(queue, SubscriptionIndex(), keys)
    writer.settle(Settlement(stale, succeed(0), attempt(stale), 200))

    with (
        moved("webhooks_results_late_total") as late,
        moved(ENDED, state="SUCCEEDED", failure_kind="") as ended,
    ):
        await writer.flush_once()

    assert (taken_over(), late(), ended()) == (1, 1, 0)


async def test_claimed_delivery_knows_when_it_was_accepted(
    queue: Queue, store: AsyncEngine, keys: DayKeys
) -> None:
    """
    What waited in the table has waited since its event was accepted, whichever process claims it.
    """
    await queue.insert([new_event(new_delivery())], LEASE)
    taken: list[Ready] = []

    async def take(ready: Ready) -> bool:
        taken.append(ready)
        return False

    held, endpoints = HeldLeases(), Endpoints(8)
    writer = ResultWriter(queue, SubscriptionIndex(), keys)
    queues = EndpointQueues(take, writer.release, endpoints, Bounds(10, 10))
    attempts = SuspectAttempts(store, LEASE.owner)
    suspects = Suspects(attempts, held, queues.admit, writer.release, control_seconds=0)
    claimer = Claimer(queue, Places(queues, suspects, writer, held), endpoints, keys, LEASE)

    with (
        moved("webhooks_batch_items_sum", kind="claim") as items,
        moved("webhooks_batch_seconds_count", kind="claim") as claims,
    ):
        assert await claimer.run_once() == 1
        await queues.drain(20)

    (ready,) = taken
    lease_start = ready.lease_end - LEASE.duration.total_seconds()
    assert timedelta() <= ready.claimed.age < timedelta(minutes=1)
    assert ready.accepted_at == pytest.approx(lease_start - ready.claimed.age.total_seconds())
    assert (items(), claims()) == (1, 1)


async def test_released_leases_are_a_batch(queue: Queue, keys: DayKeys) -> None:
    """
    Leases that end without an attempt are written, too.
    """
    event = new_event(new_delivery(leased=True))
    await queue.insert([event], LEASE)
    writer = ResultWriter(queue, SubscriptionIndex(), keys)
    writer.release(Requeue(claimed_of(event)))
    assert writer.unwritten == 1

    with moved("webhooks_batch_items_sum", kind="release") as items:
        await writer.flush_once()

    assert items() == 1


async def test_queue_is_counted_by_state(queue: Queue, store: AsyncEngine) -> None:
    """
    Those that are being attempted, and why the others wait; states without any are 0.
    """
    states = QueueStates(store)
    leased = [new_event(new_delivery(leased=True)) for _ in range(3)]
    await queue.insert([*leased, new_event(new_delivery())], LEASE)
    claimed = claimed_of(leased[0])
    await queue.release([Requeue(claimed, timedelta(hours=1), WaitReason.THROTTLED)])
    await queue.settle([Settlement(claimed_of(leased[1]), fail(0, FailureKind.EXPIRED), None)])

    await states.count()

    found = {state: count for (state,), count in states.by_state.items() if count}
    assert found == {"delivering": 1, "throttled": 1, "backlog": 1}
    assert {state for (state,) in states.by_state} == {"delivering", *WaitReason}
    assert states.pause_seconds() >= 15


async def test_count_of_a_long_queue_reads_so_many_rows(queue: Queue, store: AsyncEngine) -> None:
    """
    A count of many millions would take what deliveries need of the database.
    """
    states = QueueStates(store, most_rows=2)
    await queue.insert([new_event(new_delivery()) for _ in range(3)], LEASE)

    await states.count()

    assert sum(states.by_state.values()) == 2


def test_breakers_are_counted_as_they_open_and_close() -> None:
    """
    A breaker that opens again at its probe has opened twice.
    """
    endpoints, key = Endpoints(8), ("accounts/100", "https://a:443")
    well = from_response(Response(status_code=200), lambda: datetime(2024, 1, 15, tzinfo=UTC))
    with (
        moved("webhooks_breaker_changes_total", change="opened") as opened,
        moved("webhooks_breaker_changes_total", change="closed") as closed,
    ):
        for _ in range(6):
            endpoints.record_outcome(key, failed(FailureKind.CONNECT, "refused"))
        assert (opened(), closed()) == (1, 0)
        endpoints.record_outcome(key, well)

    assert (opened(), closed()) == (1, 1)


async def test_statements_and_connections_are_measured(store: AsyncEngine) -> None:
    """
    Statements that fail are, too; the pool of this engine is shown.
    """
    with moved("webhooks_database_statement_seconds_count", pool="main") as statements:
        async with store.connect() as db:
            in_use = figure("webhooks_database_connections", pool="main", state="in_use")
            await db.exec_driver_sql("SELECT 1")
            with pytest.raises(Exception, match="no_such_table"):
                await db.exec_driver_sql("SELECT * FROM no_such_table")

    assert statements() >= 2
    assert in_use == 1
    assert figure("webhooks_database_connections", pool="main", state="idle") >= 1
    assert figure("webhooks_database_connections_limit", pool="main") >= 8


def test_states_of_the_queue_are_values_of_a_label() -> None:
    """
    The documentation names them; a state of the table is not among them.
    """
    assert State.DELIVERING.value.lower() not in set(WaitReason)
