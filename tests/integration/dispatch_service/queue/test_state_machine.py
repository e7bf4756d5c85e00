"""
The store under any sequence of what may happen to it, compared with a model.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any, TypeVar

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from dispatch_service.domain.deliveries import State, Transition, fail, retry, succeed
from dispatch_service.domain.errors import DeliveryEnded
from dispatch_service.domain.outcomes import FailureKind
from dispatch_service.domain.work import Claimed, Lease, NewEvent, Requeue, Settlement, Suspend
from dispatch_service.feed.backlog_updates import BacklogAction, BacklogUpdate
from dispatch_service.log import read as delivery_log
from dispatch_service.queue.claimed import delivery_hex
from dispatch_service.queue.postgresql import PostgresQueue
from dispatch_service.queue.sqlite import SqliteQueue
from dispatch_service.resend import cancellations, resends
from dispatch_service.storage.schema import attempts, deliveries, event_keys, events, metadata
from dispatch_service.storage.schema import sequences as lanes_table
from dispatch_service.upkeep import erasure
from service_runtime.database.engine import create_engine, writing
from service_runtime.database.instants import after
from tests.support.dispatch_factories import attempt, new_delivery, new_event
from tests.support.lock_waits import record_and_apply
from tests.support.profiles import is_long
from tests.support.queue_model import LATER, NEVER, NOW, Model, Modelled

OWNER = "accounts/100"
ORDERED, PLAIN = "ordered", "plain"
SUBSCRIPTIONS = st.sampled_from([ORDERED, PLAIN])
RESOURCES = st.sampled_from(["orders/1", "orders/2"])
PROCESSES = st.sampled_from([Lease(name, timedelta(minutes=5)) for name in ("first", "second")])

TRANSITIONS: dict[str, tuple[Transition, str]] = {
    "succeed": (succeed(0), NEVER),
    "retry now": (retry(1, timedelta(), FailureKind.TIMEOUT), NOW),
    "retry later": (retry(1, timedelta(hours=1), FailureKind.TIMEOUT), LATER),
    "fail": (fail(1, FailureKind.TIMEOUT), NEVER),
}

LONG = is_long()

T = TypeVar("T")


class StoreMachine(RuleBasedStateMachine):
    """
    Two processes, two subscriptions and time, in any order.
    """

    url: str

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.published: list[NewEvent] = []
        self.runner = asyncio.Runner()
        self.store = create_engine(self.url, application_name="tests")
        sqlite = self.store.dialect.name == "sqlite"
        self.queue = SqliteQueue(self.store) if sqlite else PostgresQueue(self.store)
        self.run(self.clear())

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """
        Do something asynchronous.
        """
        return self.runner.run(work)

    async def clear(self) -> None:
        """
        Empty the tables.
        """
        async with writing(self.store) as db:
            for table in reversed(metadata.sorted_tables):
                await db.execute(sa.delete(table))

    async def change(self, delivery_id: str, **values: Any) -> None:
        """
        Change a delivery's row, as the passing of time would.
        """
        async with writing(self.store) as db:
            mine = deliveries.c.delivery_id == delivery_id
            await db.execute(sa.update(deliveries).where(mine).values(**values))

    def teardown(self) -> None:
        """
        Let go of the database.
        """
        self.run(self.queue.close())
        self.run(self.store.dispose())
        self.runner.close()

    # What publishers do.

    @rule(
        names=st.lists(SUBSCRIPTIONS, min_size=1, max_size=2, unique=True),
        resource=RESOURCES,
        leased=st.booleans(),
        lease=PROCESSES,
    )
    def publish(self, names: list[str], resource: str, leased: bool, lease: Lease) -> None:
        """
        Store an event; a delivery may be born leased.
        """
        wanted = [
            new_delivery(subscription=it, endpoint=f"https://{it}:443", ordered=it == ORDERED)
            for it in names
        ]
        event = new_event(*wanted, resource=resource)
        receipt = self.run(self.queue.insert([event], lease))[event.key]
        assert receipt.fresh
        self.published.append(event)
        self.model.store(event)

    @precondition(lambda self: self.published)
    @rule(lease=PROCESSES, at=st.integers(min_value=0))
    def publish_again(self, lease: Lease, at: int) -> None:
        """
        An event that is known makes nothing new.
        """
        event = self.published[at % len(self.published)]
        assert not self.run(self.queue.insert([event], lease))[event.key].fresh

    # What the processes do.

    @rule(lease=PROCESSES, limit=st.integers(min_value=1, max_value=4))
    def claim(self, lease: Lease, limit: int) -> None:
        """
        Take what is due, and only that.
        """
        may = self.model.claimable()
        taken = self.run(self.queue.claim(lease, limit=limit, per_endpoint=limit, full=()))
        assert {it.delivery_id for it in taken} <= may
        assert bool(taken) == bool(may)
        assert len(taken) <= limit
        for claimed in taken:
            self.note_claim(claimed)

    def note_claim(self, claimed: Claimed) -> None:
        """
        Check what a claim says against the model.
        """
        delivery = self.model.deliveries[claimed.delivery_id]
        lost = delivery.taken(claimed)
        if lost is not None:
            self.model.stale.append(lost)
        assert claimed.number == len(delivery.attempts) + 1
        assert claimed.state == delivery.state
        assert claimed.expired == (delivery.expired and not delivery.ended)
        assert claimed.cancelled == delivery.cancelled

    @precondition(lambda self: self.model.leased())
    @rule(outcome=st.sampled_from(sorted(TRANSITIONS)), at=st.integers(min_value=0))
    def settle(self, outcome: str, at: int) -> None:
        """
        End a lease with a result.
        """
        held = self.model.leased()
        delivery = held[at % len(held)]
        transition, due = TRANSITIONS["succeed" if delivery.ended else outcome]
        settlement = settled(delivery, transition)
        ended = self.run(self.queue.settle([settlement]))
        assert ended.lost == frozenset()
        succeeded = transition.state is State.SUCCEEDED
        delivery.attempts.append("SUCCESS" if succeeded else "FAILURE")
        if delivery.cancelled and transition.delay is not None:
            delivery.release(State.CANCELLED, NEVER)
        else:
            delivery.release(transition.state if not delivery.ended else delivery.state, due)
        self.model.advance()

    @precondition(lambda self: self.model.stale)
    @rule(outcome=st.sampled_from(sorted(TRANSITIONS)), at=st.integers(min_value=0))
    def settle_too_late(self, outcome: str, at: int) -> None:
        """
        A lease that another process took over ends nothing.
        """
        stale = self.model.stale[at % len(self.model.stale)]
        settlement = Settlement(stale, TRANSITIONS[outcome][0], attempt(stale), 200)
        assert self.run(self.queue.settle([settlement])).lost == {settlement.claimed.key}

    @precondition(lambda self: self.model.leased())
    @rule(at=st.integers(min_value=0), suspend=st.booleans())
    def release(self, at: int, suspend: bool) -> None:
        """
        Let a lease go without an attempt.
        """
        held = self.model.leased()
        delivery = held[at % len(held)]
        assert delivery.held is not None
        release = Suspend(delivery.held, 1) if suspend else Requeue(delivery.held)
        self.run(self.queue.release([release]))
        if delivery.cancelled:
            delivery.release(delivery.state if delivery.ended else State.CANCELLED, NEVER)
            self.model.advance()
        elif delivery.ended:
            delivery.release(delivery.state, NEVER if suspend else NOW)
        else:
            delivery.release(State.PENDING, LATER if suspend and not delivery.expired else NOW)
            delivery.suspended = suspend

    @precondition(lambda self: self.model.deliveries)
    @rule(at=st.integers(min_value=0))
    def resend(self, at: int) -> None:
        """
        Send a delivery again: at once, unless an attempt is being made.
        """
        delivery = list(self.model.deliveries.values())[at % len(self.model.deliveries)]
        if delivery.event.event_id in self.model.erased:
            return  # refused: its payload is gone
        ids = [delivery.delivery_id]
        made = self.run(self.changed(resends.make_due, OWNER, ids, "ann", timedelta(days=4)))
        assert made == (delivery.held is None)
        if not made:
            return
        delivery.resent, delivery.due, delivery.suspended = True, NOW, False
        if delivery.state in {State.FAILED, State.CANCELLED}:
            delivery.state, delivery.lane, delivery.expired = State.PENDING, False, False

    @precondition(lambda self: self.model.deliveries)
    @rule(at=st.integers(min_value=0))
    def cancel(self, at: int) -> None:
        """
        Give a delivery up: at once, or when the attempt that is being made has ended.
        """
        delivery = list(self.model.deliveries.values())[at % len(self.model.deliveries)]
        row = self.run(self.row_of(delivery))
        if delivery.ended:
            with pytest.raises(DeliveryEnded):
                self.run(self.changed(cancellations.cancel, row, "ann"))
            return
        self.run(self.changed(cancellations.cancel, row, "ann"))
        if delivery.held is not None:
            delivery.cancelled = True
        else:
            delivery.state, delivery.due, delivery.suspended = State.CANCELLED, NEVER, False
        self.model.advance()

    @precondition(lambda self: self.published)
    @rule(at=st.integers(min_value=0))
    def erase(self, at: int) -> None:
        """
        Erase an event: what waits is given up, what is being attempted when that has ended.
        """
        event = self.published[at % len(self.published)]
        self.run(self.erased(event))
        mine = [it for it in self.model.deliveries.values() if it.event is event]
        if not any(it.held for it in mine):
            self.model.erased.add(event.event_id)
        for it in mine:
            if it.held is not None:
                it.cancelled = True
            elif it.ended:
                it.due = NEVER
            else:
                it.state, it.due, it.suspended = State.CANCELLED, NEVER, False
        self.model.advance()

    async def erased(self, event: NewEvent) -> None:
        """
        Erase an event, whether it was erased before or not.
        """
        async with writing(self.store) as db:
            for found in await erasure.find(db, 100, events.c.event_id == event.event_id, ""):
                await erasure.erase(db, found, "ann")

    async def row_of(self, delivery: Modelled) -> Any:
        """
        Read the row of a delivery.
        """
        async with self.store.connect() as db:
            return await delivery_log.get_delivery(db, OWNER, delivery.delivery_id)

    # What time does.

    @precondition(lambda self: self.model.leased())
    @rule(at=st.integers(min_value=0))
    def lease_runs_out(self, at: int) -> None:
        """
        The process that held a delivery stands still or is dead.
        """
        held = self.model.leased()
        delivery = held[at % len(held)]
        self.run(self.change(delivery.delivery_id, due_time=after(timedelta(seconds=-1))))
        delivery.due = NOW

    @precondition(lambda self: self.model.where(due=LATER, held=None, suspended=False))
    @rule(at=st.integers(min_value=0))
    def delay_passes(self, at: int) -> None:
        """
        The time of the next attempt comes.
        """
        later = self.model.where(due=LATER, held=None, suspended=False)
        delivery = later[at % len(later)]
        self.run(self.change(delivery.delivery_id, due_time=after(timedelta(seconds=-1))))
        delivery.due = NOW

    @precondition(lambda self: self.model.where(state=State.PENDING))
    @rule(at=st.integers(min_value=0))
    def time_is_up(self, at: int) -> None:
        """
        A delivery that waits has waited for as long as it may.
        """
        waiting = self.model.where(state=State.PENDING)
        delivery = waiting[at % len(waiting)]
        past = after(timedelta(seconds=-1))
        moved = {"due_time": past} if delivery.suspended else {}
        self.run(self.change(delivery.delivery_id, expire_time=past, **moved))
        delivery.expired = True
        if delivery.suspended:
            delivery.due, delivery.suspended = NOW, False

    # What owners do.

    @rule(name=SUBSCRIPTIONS)
    def deactivate(self, name: str) -> None:
        """
        Set a subscription Inactive: what waits for it is suspended.
        """
        self.run(self.decided(name, BacklogAction.SUSPEND))
        for it in self.model.waiting(name):
            if it.due != NEVER:
                it.due, it.suspended = (NOW, False) if it.expired else (LATER, True)

    @rule(name=SUBSCRIPTIONS)
    def activate(self, name: str) -> None:
        """
        Set a subscription Active: what was suspended is due.
        """
        self.run(self.decided(name, BacklogAction.RESUME))
        for it in self.model.waiting(name):
            if it.suspended:
                it.due, it.suspended = NOW, False

    @rule(name=SUBSCRIPTIONS)
    def delete(self, name: str) -> None:
        """
        Delete a subscription: what waits for it is cancelled.
        """
        self.run(self.decided(name, BacklogAction.CANCEL))
        for it in self.model.waiting(name):
            it.state, it.due, it.suspended = State.CANCELLED, NEVER, False
        for it in self.model.where(subscription=name):
            it.lane = False

    @rule(name=SUBSCRIPTIONS)
    def dissolve(self, name: str) -> None:
        """
        Let an Active subscription be ordered no longer: what waits for its turn is due.
        """
        self.run(self.decided(name, BacklogAction.RESUME, ordered=False))
        for it in self.model.waiting(name):
            if it.suspended:
                it.due, it.suspended = NOW, False
        for it in self.model.where(subscription=name, lane=True, ended=False):
            it.lane = False
            if it.due == NEVER:
                it.due = NOW

    async def decided(self, name: str, action: BacklogAction, *, ordered: bool = True) -> None:
        """
        Note what is to become of all that waits, and work it off.
        """
        await record_and_apply(self.store, BacklogUpdate(OWNER, name, 1, action, ordered=ordered))

    async def changed(self, change: Any, *values: Any) -> Any:
        """
        Change something in a transaction.
        """
        async with writing(self.store) as db:
            return await change(db, *values)

    # What holds at any time.

    @invariant()
    def tables_say_what_the_model_says(self) -> None:
        """
        Nothing that was accepted is missing; every lease, state and attempt is as modelled.
        """
        rows, logged, keys, lanes = self.run(self.read())
        assert keys == {it.event_id for it in self.published}
        assert rows.keys() == self.model.deliveries.keys()
        for key, delivery in self.model.deliveries.items():
            check(delivery, rows[key], logged.get(key, []))
        assert lanes == {it.line for it in self.model.where(lane=True, ended=False)}

    @invariant()
    def one_of_a_lane_is_out(self) -> None:
        """
        Of an ordered subscription's deliveries about one resource one may go out at a time.
        """
        lanes = self.model.where(lane=True, ended=False, resent=False)
        out = [it.line for it in lanes if it.due != NEVER]
        assert len(out) == len(set(out))

    async def read(self) -> tuple[dict[str, Any], dict[str, list[str]], set[str], set[Any]]:
        """
        Read the tables.
        """
        async with self.store.connect() as db:
            rows = (await db.execute(sa.select(deliveries))).all()
            log = await db.execute(sa.select(attempts).order_by(attempts.c.number))
            logged: dict[str, list[str]] = {}
            for row in log:
                statuses = logged.setdefault(delivery_hex(row.delivery_id), [])
                statuses.append(row.status)
                assert row.number == len(statuses)
            keys = (await db.execute(sa.select(event_keys.c.event_id))).scalars()
            columns = lanes_table.c
            lanes = await db.execute(sa.select(columns.subscription, columns.resource))
            by_id = {delivery_hex(row.delivery_id): row for row in rows}
            return by_id, logged, set(keys), {tuple(row) for row in lanes}


def settled(delivery: Modelled, transition: Transition) -> Settlement:
    """
    Make the result of what is held.
    """
    assert delivery.held is not None
    if transition.state is State.SUCCEEDED:
        return Settlement(delivery.held, transition, attempt(delivery.held), 200)
    record = attempt(delivery.held, status="FAILURE", failure_kind="timeout", response_code=None)
    return Settlement(delivery.held, transition, record)


def check(delivery: Modelled, row: Any, logged: list[str]) -> None:
    """
    Compare a delivery with its row and its attempts.
    """
    assert row.state == delivery.state
    assert (row.end_time is not None) == delivery.ended
    assert (row.lease_owner is not None) == (delivery.held is not None)
    assert (row.due_time is None) == (delivery.due == NEVER)
    assert logged == delivery.attempts
    assert row.attempt_count == len(delivery.attempts) + (delivery.held is not None)
    if delivery.held is not None:
        assert row.lease_token == delivery.held.token


@pytest.mark.slow
@pytest.mark.timeout(7200 if LONG else 300)
@pytest.mark.parametrize("part", range(3))
def test_store_does_what_the_model_does(database_url: str, part: int) -> None:
    """
    Whatever happens in whatever order, the tables say what the rules say.
    """
    machine = type("Machine", (StoreMachine,), {"url": database_url})
    run_state_machine_as_test(
        # Each part searches elsewhere, the same in each run; a long search goes anywhere.
        machine if LONG else seed(part)(machine),
        settings=settings(
            max_examples=100 if LONG else 10,
            stateful_step_count=100 if LONG else 40,
            database=None,
            # A failure is shown as it was found: to shrink it takes minutes.
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
