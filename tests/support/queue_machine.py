"""
A machine that runs operations on a store in any order, beside a model of it.

After each operation the tables are compared with the model, and the rows that the operation
changed with the moves that it says it makes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from datetime import timedelta
from functools import wraps
from typing import Any, TypeVar

import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, run_state_machine_as_test
from sqlalchemy.ext.asyncio import AsyncEngine

from dispatch_service.delivery.expiry import Expirer
from dispatch_service.domain.transitions import State, Transition
from dispatch_service.domain.work import Claimed, NewEvent, Settlement
from dispatch_service.feed.backlog_updates import BacklogAction, BacklogUpdate
from dispatch_service.log import read as delivery_log
from dispatch_service.queue.claimed import delivery_hex
from dispatch_service.queue.dialects import clause
from dispatch_service.queue.move import Move
from dispatch_service.queue.postgresql import PostgresQueue
from dispatch_service.queue.sqlite import SqliteQueue
from dispatch_service.resend import resends
from dispatch_service.routing.index import SubscriptionIndex
from dispatch_service.storage.schema import (
    attempts,
    deliveries,
    endpoint_states,
    event_keys,
    metadata,
    sequences,
)
from service_runtime.database.engine import create_engine, writing
from tests.support.dispatch_factories import attempt
from tests.support.lock_waits import record_and_apply
from tests.support.profiles import is_long
from tests.support.queue_model import NEVER, NOW, Model, Modelled

OWNER = "accounts/100"

MODELLED: set[str] = set()
"""
The names of the moves that some rule makes.
"""

PAST = clause("{now - 1000000}", {})

MOVED = clause("@expire_time + ({now - 1000000} - @due_time)", {})

T = TypeVar("T")

_LONG = is_long()

_SEARCH = settings(
    max_examples=100 if _LONG else 8,
    stateful_step_count=100 if _LONG else 40,
    database=None,
    # A failure is shown as it was found: to shrink it takes minutes.
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def makes(*moves: Move) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """
    Say which moves a rule makes; it may change no row in another way.
    """
    MODELLED.update(move.name for move in moves)

    def mark(rule: Callable[..., None]) -> Callable[..., None]:
        @wraps(rule)
        def run(self: QueueMachine, *drawn: object, **named: object) -> None:
            self.moves = moves
            rule(self, *drawn, **named)

        return run

    return mark


class QueueMachine(RuleBasedStateMachine):
    """
    A store and its model. All machines of a kind use one *store*, a migrated database, and one
    *runner*: an engine of its own would compile all statements anew.
    """

    store: AsyncEngine
    runner: asyncio.Runner

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.published: list[NewEvent] = []
        self.moves: tuple[Move, ...] | None = ()
        self.rows: Mapping[str, Any] = {}
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

    def pass_time(self, delivery: Modelled, **values: Any) -> None:
        """
        Change a delivery's row as the passing of time would.
        """
        self.moves = None
        mine = deliveries.c.delivery_id == delivery.delivery_id
        self.change(lambda db: db.execute(sa.update(deliveries).where(mine).values(**values)))

    def make_due(self, delivery: Modelled) -> None:
        """
        Change a delivery's row as if it had been written earlier, so that it is due.
        """
        self.pass_time(delivery, due_time=PAST, expire_time=MOVED)
        delivery.due = NOW

    def resent(self, delivery: Modelled) -> None:
        """
        Make a delivery due that is not leased and whose payload is not erased.
        """
        if delivery.event.event_id in self.model.erased:
            return
        ids = [delivery.delivery_id]
        made = self.change(resends.make_due, OWNER, ids, "ann", timedelta(days=4))
        assert made == (delivery.held is None)
        if not made:
            return
        delivery.resent, delivery.due, delivery.suspended = True, NOW, False
        if delivery.state in {State.FAILED, State.CANCELLED}:
            delivery.state, delivery.ordered, delivery.expired = State.PENDING, False, False

    def update_backlog(self, name: str, action: BacklogAction, *, ordered: bool = True) -> None:
        """
        Apply a change of a subscription to all that waits.
        """
        update = BacklogUpdate(OWNER, name, 1, action, ordered=ordered)
        self.run(record_and_apply(self.store, update))

    def expire_waiting(self, delivery: Modelled) -> list[str]:
        """
        Let a receiver have used up the time of a delivery, and open its breaker; return the ids
        of what ends.
        """
        used_up = {"retries_used": 1, "wait_reason": "backlog"}
        self.pass_time(delivery, due_time=PAST, expire_time=PAST, **used_up)
        row = self.rows[delivery.delivery_id]
        times = dict.fromkeys(("open_until", "update_time"), PAST)
        state = {"owner": OWNER, "endpoint": row.endpoint, "trips": 1, **times}
        self.change(lambda db: db.execute(sa.insert(endpoint_states).values(state)))
        self.run(Expirer(self.store, SubscriptionIndex(), lambda: None).run_once())
        self.change(lambda db: db.execute(sa.delete(endpoint_states)))
        after = self.run(self.read())[0]
        waited = (key for key, row in self.rows.items() if row.state == State.PENDING)
        return [key for key in waited if after[key].state != State.PENDING]

    def change(self, work: Callable[..., Coroutine[Any, Any, T]], *values: Any) -> T:
        """
        Do something in a transaction.
        """

        async def changed() -> T:
            async with writing(self.store) as db:
                return await work(db, *values)

        return self.run(changed())

    async def row_of(self, delivery: Modelled) -> Any:
        """
        Read the row of a delivery, as the API does.
        """
        async with self.store.connect() as db:
            return await delivery_log.get_delivery(db, OWNER, delivery.delivery_id)

    def check_claim(self, claimed: Claimed) -> None:
        """
        Compare a claimed delivery with the model.
        """
        delivery = self.model.deliveries[claimed.delivery_id]
        lost = delivery.claim(claimed)
        if lost is not None:
            self.model.stale.append(lost)
        assert claimed.number == len(delivery.attempts) + 1
        assert claimed.state == delivery.state
        assert delivery.ended or claimed.expired == delivery.expired
        assert claimed.cancelled == delivery.cancelled

    def teardown(self) -> None:
        """
        Close the queue.
        """
        self.run(self.queue.close())

    @invariant()
    def tables_say_what_the_model_says(self) -> None:
        """
        Nothing that was accepted is missing; every lease, state and attempt is as modelled.
        """
        before = self.rows
        self.rows, logged, keys, in_sequences = self.run(self.read())
        check_moves(before, self.rows, self.moves)
        assert keys == {it.event_id for it in self.published}
        assert self.rows.keys() == self.model.deliveries.keys()
        for key, delivery in self.model.deliveries.items():
            check(delivery, self.rows[key], logged.get(key, []))
        assert in_sequences == {it.sequence for it in self.model.where(ordered=True, ended=False)}

    @invariant()
    def one_of_a_sequence_is_out(self) -> None:
        """
        Of an ordered subscription's deliveries about one resource one may go out at a time.
        """
        ordered = self.model.where(ordered=True, ended=False, resent=False)
        out = [it.sequence for it in ordered if it.due != NEVER]
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
            columns = sequences.c
            known = await db.execute(sa.select(columns.subscription, columns.resource))
            by_id = {delivery_hex(row.delivery_id): row for row in rows}
            return by_id, logged, set(keys), {tuple(row) for row in known}


def search(kind: type[QueueMachine], url: str, part: int) -> None:
    """
    Run machines of a kind on a migrated database. Each *part* searches elsewhere, the same in
    each run; a long search goes anywhere.
    """
    store = create_engine(url, application_name="tests")
    with asyncio.Runner() as runner:
        machine = type("Machine", (kind,), {"store": store, "runner": runner})
        try:
            run_state_machine_as_test(
                machine if _LONG else seed(part)(machine),
                settings=_SEARCH,
            )
        finally:
            runner.run(store.dispose())


def chosen(found: list[T], at: int) -> T:
    """
    Choose one of what was found.
    """
    return found[at % len(found)]


def result_of(claimed: Claimed, transition: Transition) -> Settlement:
    """
    Make the result of the attempt of a lease.
    """
    if transition.state is State.SUCCEEDED:
        return Settlement(claimed, transition, attempt(claimed), 200)
    record = attempt(claimed, status="FAILURE", failure_kind="timeout", response_code=None)
    return Settlement(claimed, transition, record)


def check(delivery: Modelled, row: Any, logged: list[str]) -> None:
    """
    Compare a delivery with its row and its attempts.
    """
    assert row.state == delivery.state
    assert (row.end_time is not None) == delivery.ended
    assert (row.lease_owner is not None) == (delivery.held is not None)
    assert (row.due_time is None) == (delivery.due == NEVER)
    assert (row.wait_reason is None) == (row.state != State.PENDING)
    assert (row.wait_reason == "order") == (row.state == State.PENDING and delivery.due == NEVER)
    assert row.wait_reason == "inactive" or not delivery.suspended
    assert logged == delivery.attempts
    assert row.attempt_count == len(delivery.attempts) + (delivery.held is not None)
    if delivery.held is not None:
        assert row.lease_token == delivery.held.token


def check_moves(
    before: Mapping[str, Any], after: Mapping[str, Any], moves: tuple[Move, ...] | None
) -> None:
    """
    Check that moves lead from a row that was changed to what it is, and set what is different.
    """
    if moves is None:
        return
    for key, row in after.items():
        old = before.get(key)
        if row == old:
            continue
        state = None if old is None else old.state
        fitting = [move for move in moves if row.state in move.steps.get(state, ())]
        assert fitting, (state, row.state, [move.name for move in moves])
        if old is not None:
            changed = {name for name in row._fields if getattr(row, name) != getattr(old, name)}
            assert changed <= {name for move in fitting for name in move.columns}
