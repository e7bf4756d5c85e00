"""
A model of the store: the deliveries, who holds them and what the log says. It is kept by the
rules of the documentation and compared with the tables.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from dispatch_service.domain.transitions import State
from dispatch_service.domain.work import Claimed, NewEvent
from tests.support.dispatch_factories import claimed_of

NOW, LATER, NEVER = "now", "later", "never"

ENDED = frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED})


@dataclass
class Modelled:
    """
    A delivery. *due* says when it may be claimed, *ordered* whether it is in a sequence.
    """

    delivery_id: str
    event: NewEvent
    subscription: str
    ordered: bool
    state: State = State.PENDING
    due: str = NOW
    suspended: bool = False
    expired: bool = False
    resent: bool = False
    cancelled: bool = False
    held: Claimed | None = None
    attempts: list[str] = field(default_factory=list)

    @property
    def ended(self) -> bool:
        """
        Whether it has ended.
        """
        return self.state in ENDED

    @property
    def sequence(self) -> tuple[str, str]:
        """
        The subscription and the resource that it is ordered by.
        """
        return (self.subscription, self.event.resource)

    def claim(self, claimed: Claimed) -> Claimed | None:
        """
        Lease it; return the expired lease that this ends.
        """
        lost = self.held
        if lost is not None:
            self.attempts.append("INTERRUPTED")
        self.held, self.due, self.suspended = claimed, LATER, False
        if not self.ended:
            self.state = State.DELIVERING
        return lost

    def release(self, state: State, due: str) -> None:
        """
        End its lease.
        """
        self.held, self.cancelled = None, False
        self.state, self.due = state, due

    def cancel(self) -> None:
        """
        Cancel it: at once, or at the end of its lease.
        """
        if self.held is not None:
            self.cancelled = True
        else:
            self.state, self.due, self.suspended = State.CANCELLED, NEVER, False

    def settle_late(self, result: State) -> None:
        """
        End it if the late result is a confirmation, unless it has succeeded or was cancelled.
        """
        if result is not State.SUCCEEDED or self.state in {State.SUCCEEDED, State.CANCELLED}:
            return
        self.state, self.suspended = State.SUCCEEDED, False
        if self.held is not None:
            self.cancelled = True
        else:
            self.due = NEVER

    def resume(self) -> None:
        """
        Make it due if it is suspended.
        """
        if self.suspended:
            self.due, self.suspended = NOW, False


class Model:
    """
    All deliveries, in the order in which they were stored.
    """

    def __init__(self) -> None:
        self.deliveries: dict[str, Modelled] = {}
        self.stale: list[Claimed] = []
        self.erased: set[str] = set()

    def store(self, event: NewEvent) -> None:
        """
        Add the deliveries of an event.
        """
        for at, it in enumerate(event.deliveries):
            ordered = it.ordered and it.failure_kind is None
            modelled = Modelled(it.delivery_id, event, it.subscription, ordered)
            if it.failure_kind is not None:
                modelled.state, modelled.due = State.FAILED, NEVER
            elif self._has_one_before(modelled):
                modelled.due = NEVER
            elif it.leased:
                modelled.claim(claimed_of(event, at))
            self.deliveries[it.delivery_id] = modelled

    def _has_one_before(self, delivery: Modelled) -> bool:
        return delivery.ordered and any(
            it.sequence == delivery.sequence for it in self._in_sequences()
        )

    def _in_sequences(self) -> list[Modelled]:
        return [it for it in self.deliveries.values() if it.ordered and not it.ended]

    def advance(self) -> None:
        """
        Make the first unfinished delivery of each sequence due if it was blocked.
        """
        seen = set()
        for it in self._in_sequences():
            if it.sequence not in seen and it.due == NEVER:
                it.due = NOW
            seen.add(it.sequence)

    def claimable(self) -> set[str]:
        """
        Return what a claim may take.
        """
        return {key for key, it in self.deliveries.items() if it.due == NOW}

    def where(self, **wanted: object) -> list[Modelled]:
        """
        Return the deliveries with certain values.
        """
        return [
            it
            for it in self.deliveries.values()
            if all(getattr(it, name) == value for name, value in wanted.items())
        ]

    def leased(self) -> list[Modelled]:
        """
        Return the deliveries that somebody holds.
        """
        return [it for it in self.deliveries.values() if it.held is not None]

    def waiting(self, subscription: str) -> list[Modelled]:
        """
        Return the deliveries of a subscription that wait for an attempt.
        """
        return self.where(subscription=subscription, state=State.PENDING)

    def may_expire(self) -> list[Modelled]:
        """
        Return what is due, or suspended until it expires.
        """
        waiting = self.where(state=State.PENDING)
        return [it for it in waiting if it.due == NOW or it.suspended]

    def give_up(self, ids: list[str]) -> None:
        """
        End deliveries that have expired.
        """
        for it in (self.deliveries[key] for key in ids):
            assert it.expired
            it.state, it.due = State.FAILED, NEVER
        self.advance()
