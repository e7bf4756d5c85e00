"""
The records that a crash test compares: acknowledged events, received requests, logged attempts.
No I/O.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Request:
    """
    A request that the receiver got. *confirmed* tells whether it answered with success.
    """

    event_id: str
    delivery_id: str
    number: int
    confirmed: bool


@dataclass(slots=True)
class Ledger:
    """
    The records of one run.

    *attempts* are the attempts with a row in the log: delivery and number. *interrupted* are those
    of them with an unknown outcome.
    """

    acknowledged: set[str] = field(default_factory=set)
    requests: list[Request] = field(default_factory=list)
    attempts: set[tuple[str, int]] = field(default_factory=set)
    interrupted: set[tuple[str, int]] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Result:
    """
    The result of a run.

    A lost event was acknowledged and never confirmed. Each confirmation of a delivery after the
    first is a duplicate. One duplicate is allowed for each interrupted attempt, because the service
    cannot know that the receiver confirmed it.
    """

    acknowledged: int
    lost: frozenset[str]
    duplicates: int
    bound: int
    beyond_bound: frozenset[str]
    without_row: frozenset[tuple[str, int]]

    @property
    def good(self) -> bool:
        """
        Whether nothing was lost, all duplicates are allowed and every request has a row.
        """
        return not (self.lost or self.beyond_bound or self.without_row)

    def line(self, faults: int) -> str:
        """
        Return the result as one line.
        """
        return (
            f"acknowledged {self.acknowledged}, lost {len(self.lost)},"
            f" duplicates {self.duplicates} (bound {self.bound}),"
            f" without attempt row {len(self.without_row)}, faults {faults}"
        )


def compare(ledger: Ledger) -> Result:
    """
    Compare the records of a run.
    """
    confirmed = [request for request in ledger.requests if request.confirmed]
    duplicates = _duplicates(request.delivery_id for request in confirmed)
    allowed = Counter(delivery_id for delivery_id, _ in ledger.interrupted)
    made = {(request.delivery_id, request.number) for request in ledger.requests}
    return Result(
        acknowledged=len(ledger.acknowledged),
        lost=frozenset(ledger.acknowledged - {request.event_id for request in confirmed}),
        duplicates=sum(duplicates.values()),
        bound=sum(allowed.values()),
        beyond_bound=frozenset(key for key, count in duplicates.items() if count > allowed[key]),
        without_row=frozenset(made - ledger.attempts),
    )


def _duplicates(deliveries: Iterable[str]) -> dict[str, int]:
    counts = Counter(deliveries)
    return {key: count - 1 for key, count in counts.items() if count > 1}
