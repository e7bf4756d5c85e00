"""
The store under any sequence of operations, compared with a model.
"""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from dispatch_service.domain.errors import DeliveryEnded
from dispatch_service.domain.outcomes import FailureKind
from dispatch_service.domain.transitions import State, Transition, fail, retry, succeed
from dispatch_service.domain.work import Lease, Requeue, Suspend
from dispatch_service.feed.backlog_updates import BacklogAction
from dispatch_service.queue import moves
from dispatch_service.queue import waiting_moves as waiting
from dispatch_service.queue.moves import MOVES
from dispatch_service.queue.sqlite import SqliteQueue
from dispatch_service.resend import cancellations
from dispatch_service.storage.schema import events
from dispatch_service.upkeep import erasure
from tests.support.dispatch_factories import new_delivery, new_event
from tests.support.profiles import is_long
from tests.support.queue_machine import (
    MODELLED,
    PAST,
    QueueMachine,
    chosen,
    makes,
    result_of,
    search,
)
from tests.support.queue_model import LATER, NEVER, NOW

ORDERED, PLAIN = "ordered", "plain"
SUBSCRIPTIONS = st.sampled_from([ORDERED, PLAIN])
RESOURCES = st.sampled_from(["orders/1", "orders/2"])
PROCESSES = st.sampled_from([Lease(name, timedelta(minutes=5)) for name in ("first", "second")])
CHOICE = st.integers(min_value=0)

TRANSITIONS: dict[str, tuple[Transition, str]] = {
    "succeed": (succeed(0), NEVER),
    "retry now": (retry(1, timedelta(), FailureKind.TIMEOUT), NOW),
    "retry later": (retry(1, timedelta(hours=1), FailureKind.TIMEOUT), LATER),
    "fail": (fail(1, FailureKind.TIMEOUT), NEVER),
}
OUTCOMES = st.sampled_from(["succeed", *sorted(TRANSITIONS)])

LONG = is_long()


class StoreMachine(QueueMachine):
    """
    Two processes, two subscriptions and time, in any order.
    """

    @initialize(lease=PROCESSES)
    def begin(self, lease: Lease) -> None:
        """
        Begin with deliveries in every state, one of them blocked.
        """
        for state in State:
            broken = "render" if state is State.FAILED else None
            self.publish([PLAIN], "orders/1", state is not State.PENDING, broken, lease)
            if state is State.SUCCEEDED:
                self.settle("succeed", -1)
            elif state is State.CANCELLED:
                self.cancel(-1)
                self.release(-1, suspends=False)
        self.publish([ORDERED], "orders/1", False, None, lease)
        self.publish([ORDERED], "orders/1", False, None, lease)
        self.moves = None

    # What publishers do.

    @rule(
        names=st.lists(SUBSCRIPTIONS, min_size=1, max_size=2, unique=True),
        resource=RESOURCES,
        leased=st.booleans(),
        failure_kind=st.sampled_from([None, None, None, "render"]),
        lease=PROCESSES,
    )
    @makes(moves.INSERT)
    def publish(
        self,
        names: list[str],
        resource: str,
        leased: bool,
        failure_kind: str | None,
        lease: Lease,
    ) -> None:
        """
        Store an event; a delivery may be leased or have failed from the start.
        """
        wanted = [
            new_delivery(
                subscription=it,
                endpoint=f"https://{it}:443",
                ordered=it == ORDERED,
                leased=leased and failure_kind is None,
                failure_kind=failure_kind,
            )
            for it in names
        ]
        event = new_event(*wanted, resource=resource)
        receipt = self.run(self.queue.insert([event], lease))[event.key]
        assert receipt.fresh
        self.published.append(event)
        self.model.store(event)

    @precondition(lambda self: self.published)
    @rule(lease=PROCESSES, at=CHOICE)
    @makes()
    def publish_again(self, lease: Lease, at: int) -> None:
        """
        A known event is stored once.
        """
        event = self.published[at % len(self.published)]
        assert not self.run(self.queue.insert([event], lease))[event.key].fresh

    # What the processes do.

    @rule(lease=PROCESSES, limit=st.integers(min_value=1, max_value=4))
    @makes(moves.CLAIM)
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
            self.check_claim(claimed)

    @precondition(lambda self: self.model.leased())
    @rule(outcome=OUTCOMES, at=CHOICE)
    @makes(moves.SETTLE, waiting.UNBLOCK)
    def settle(self, outcome: str, at: int) -> None:
        """
        End a lease with a result.
        """
        delivery = chosen(self.model.leased(), at)
        assert delivery.held is not None
        if delivery.held.state is State.SUCCEEDED and outcome.startswith("retry"):
            outcome = "succeed"  # as `decide` does for a forced resend
        transition, due = TRANSITIONS[outcome]
        ended = self.run(self.queue.settle([result_of(delivery.held, transition)]))
        assert ended.lost == frozenset()
        delivery.attempts.append("SUCCESS" if transition.state is State.SUCCEEDED else "FAILURE")
        if delivery.ended:
            delivery.release(delivery.state, NEVER)
        elif delivery.cancelled and transition.delay is not None:
            delivery.release(State.CANCELLED, NEVER)
        else:
            delivery.release(transition.state, due)
        self.model.advance()

    @precondition(lambda self: self.model.stale)
    @rule(outcome=OUTCOMES, at=CHOICE)
    @makes(moves.CONFIRM, waiting.UNBLOCK)
    def settle_too_late(self, outcome: str, at: int) -> None:
        """
        Of an attempt whose lease another process took over only a confirmation counts.
        """
        stale = chosen(self.model.stale, at)
        late = result_of(stale, TRANSITIONS[outcome][0])
        assert self.run(self.queue.settle([late])).lost == {stale.key}
        self.model.deliveries[stale.delivery_id].settle_late(late.transition.state)
        self.model.advance()

    @precondition(lambda self: self.model.leased())
    @rule(at=CHOICE, suspends=st.booleans())
    @makes(moves.REQUEUE, moves.SUSPEND, waiting.UNBLOCK)
    def release(self, at: int, suspends: bool) -> None:
        """
        Release a lease without an attempt: at once, or because the subscription is Inactive.
        """
        delivery = chosen(self.model.leased(), at)
        assert delivery.held is not None
        release = Suspend(delivery.held, 1) if suspends else Requeue(delivery.held)
        assert self.run(self.queue.release([release])).lost == frozenset()
        if delivery.cancelled:
            delivery.release(delivery.state if delivery.ended else State.CANCELLED, NEVER)
        elif delivery.ended:
            delivery.release(delivery.state, NEVER if suspends else NOW)
        else:
            delivery.release(State.PENDING, LATER if suspends and not delivery.expired else NOW)
            delivery.suspended = suspends
        self.model.advance()

    @precondition(lambda self: isinstance(self.queue, SqliteQueue))
    @precondition(lambda self: any(it.due == LATER for it in self.model.leased()))
    @rule()
    @makes(moves.END_LEASE)
    def restart(self) -> None:
        """
        Start the only process anew: no lease is held any more.
        """
        assert isinstance(self.queue, SqliteQueue)
        self.run(self.queue.end_leases())
        for it in self.model.leased():
            it.due = NOW

    # What callers do.

    @precondition(lambda self: self.model.deliveries)
    @rule(at=CHOICE)
    @makes(waiting.RESEND)
    def resend(self, at: int) -> None:
        """
        Send a delivery again: at once, unless an attempt is being made.
        """
        self.resent(chosen(self.model.where(), at))

    @precondition(lambda self: self.model.where(state=State.SUCCEEDED))
    @rule(at=CHOICE)
    @makes(waiting.RESEND)
    def force_resend(self, at: int) -> None:
        """
        Send a delivery again that has succeeded.
        """
        self.resent(chosen(self.model.where(state=State.SUCCEEDED), at))

    @precondition(lambda self: self.model.deliveries)
    @rule(at=CHOICE)
    @makes(waiting.CANCEL, waiting.CANCEL_LATER, waiting.UNBLOCK)
    def cancel(self, at: int) -> None:
        """
        Cancel a delivery: at once, or when the attempt that is being made has ended.
        """
        delivery = chosen(self.model.where(), at)
        row = self.run(self.row_of(delivery))
        if delivery.ended:
            with pytest.raises(DeliveryEnded):
                self.change(cancellations.cancel, row, "ann")
            return
        self.change(cancellations.cancel, row, "ann")
        delivery.cancel()
        self.model.advance()

    @precondition(lambda self: self.published)
    @rule(at=CHOICE)
    @makes(
        waiting.CANCEL,
        waiting.CANCEL_LATER,
        waiting.DROP_RESEND,
        waiting.UNBLOCK,
    )
    def erase(self, at: int) -> None:
        """
        Erase an event: its deliveries are cancelled, those that are leased when that has ended.
        """
        event = self.published[at % len(self.published)]
        wanted = events.c.event_id == event.event_id
        for found in self.change(erasure.find, 100, wanted, ""):
            self.change(erasure.erase, found, "ann")
        mine = self.model.where(event=event)
        if not any(it.held for it in mine):
            self.model.erased.add(event.event_id)
        for it in mine:
            if it.ended and it.held is None:
                it.due = NEVER
            else:
                it.cancel()
        self.model.advance()

    # What time does.

    @precondition(lambda self: self.model.leased())
    @rule(at=CHOICE)
    def lease_expires(self, at: int) -> None:
        """
        The process that holds a delivery stands still or is dead.
        """
        self.make_due(chosen(self.model.leased(), at))

    @precondition(lambda self: self.model.where(due=LATER, held=None, suspended=False))
    @rule(at=CHOICE)
    def delay_passes(self, at: int) -> None:
        """
        The time of the next attempt comes.
        """
        delivery = chosen(self.model.where(due=LATER, held=None, suspended=False), at)
        self.make_due(delivery)

    @precondition(lambda self: self.model.may_expire())
    @rule(at=CHOICE)
    def delivery_expires(self, at: int) -> None:
        """
        A delivery is due no earlier than it expires.
        """
        delivery = chosen(self.model.may_expire(), at)
        self.pass_time(delivery, due_time=PAST, expire_time=PAST)
        delivery.expired = True
        if delivery.suspended:
            delivery.due, delivery.suspended = NOW, False

    @precondition(lambda self: self.model.where(due=NOW, state=State.PENDING))
    @rule(at=CHOICE)
    @makes(waiting.EXPIRE, waiting.UNBLOCK)
    def expire(self, at: int) -> None:
        """
        What waits for an open breaker ends if its receiver has used up its time.
        """
        delivery = chosen(self.model.where(due=NOW, state=State.PENDING), at)
        delivery.expired = True
        ended = self.expire_waiting(delivery)
        assert delivery.delivery_id in ended
        self.model.give_up(ended)

    # What owners do.

    @precondition(lambda self: self.model.where(state=State.PENDING))
    @rule(name=SUBSCRIPTIONS)
    @makes(waiting.SUSPEND_WAITING)
    def deactivate(self, name: str) -> None:
        """
        Set a subscription Inactive: what waits for it is suspended.
        """
        self.update_backlog(name, BacklogAction.SUSPEND)
        for it in self.model.waiting(name):
            if it.due != NEVER:
                it.due, it.suspended = (NOW, False) if it.expired else (LATER, True)

    @precondition(lambda self: self.model.where(state=State.PENDING))
    @rule(name=SUBSCRIPTIONS)
    @makes(waiting.RESUME)
    def activate(self, name: str) -> None:
        """
        Set a subscription Active: what was suspended is due.
        """
        self.update_backlog(name, BacklogAction.RESUME)
        for it in self.model.waiting(name):
            it.resume()

    @precondition(lambda self: self.model.where(state=State.PENDING))
    @rule(name=SUBSCRIPTIONS)
    @makes(waiting.CANCEL_DELETED, waiting.LEAVE_SEQUENCE)
    def delete(self, name: str) -> None:
        """
        Delete a subscription: what waits for it is cancelled.
        """
        self.update_backlog(name, BacklogAction.CANCEL)
        for it in self.model.waiting(name):
            it.cancel()
        for it in self.model.where(subscription=name):
            it.ordered = False

    @precondition(lambda self: self.model.where(state=State.PENDING))
    @rule(name=SUBSCRIPTIONS)
    @makes(waiting.LEAVE_SEQUENCE, waiting.RESUME)
    def end_order(self, name: str) -> None:
        """
        Let an Active subscription be ordered no longer: nothing of it is blocked any more.
        """
        self.update_backlog(name, BacklogAction.RESUME, ordered=False)
        for it in self.model.waiting(name):
            it.resume()
        for it in self.model.where(subscription=name, ordered=True, ended=False):
            it.ordered = False
            if it.due == NEVER:
                it.due = NOW


def test_every_move_has_a_rule() -> None:
    """
    The machine makes every move of the table.
    """
    assert MOVES.keys() == MODELLED


@pytest.mark.heavy
@pytest.mark.timeout(7200 if LONG else 300)
@pytest.mark.parametrize("part", range(2))
def test_store_does_what_the_model_does(database_url: str, part: int) -> None:
    """
    Whatever happens in whatever order, the tables say what the rules say.
    """
    search(StoreMachine, database_url, part)
