"""
A model of the store: what deliveries there are, who holds them and what the log
says, kept by the rules of the documentation and compared with the tables.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from dispatch_service.domain.deliveries import State
from dispatch_service.domain.work import Claimed, NewEvent

NOW, LATER, NEVER = "now", "later", "never"

ENDED = frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED})


@dataclass
class Modelled:
    """
    A delivery. *due* says when it may be claimed; *lane* whether it stands in line.
    """

    delivery_id: str
    event: NewEvent
    subscription: str
    lane: bool
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
    def line(self) -> tuple[str, str]:
        """
        The subscription and the resource that it is ordered by.
        """
        return (self.subscription, self.event.resource)

    def taken(self, claimed: Claimed) -> Claimed | None:
        """
        Note that somebody claimed it; return the lease that this took over.
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
        Note that its lease ended.
        """
        self.held, self.cancelled = None, False
        self.state, self.due = state, due


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
        Note what a stored event makes.
        """
        for it in event.deliveries:
            modelled = Modelled(it.delivery_id, event, it.subscription, it.ordered)
            if self._has_one_before(modelled):
                modelled.due = NEVER
            self.deliveries[it.delivery_id] = modelled

    def _has_one_before(self, delivery: Modelled) -> bool:
        return delivery.lane and any(it.line == delivery.line for it in self._in_lanes())

    def _in_lanes(self) -> list[Modelled]:
        return [it for it in self.deliveries.values() if it.lane and not it.ended]

    def advance(self) -> None:
        """
        Let the first unfinished delivery of each lane be due if it waited for its turn.
        """
        seen = set()
        for it in self._in_lanes():
            if it.line not in seen and it.due == NEVER:
                it.due = NOW
            seen.add(it.line)

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
        Return what somebody holds.
        """
        return [it for it in self.deliveries.values() if it.held is not None]

    def waiting(self, subscription: str) -> list[Modelled]:
        """
        Return what waits for its next attempt.
        """
        return self.where(subscription=subscription, state=State.PENDING)
