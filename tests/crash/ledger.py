"""
What a crash test compares: whom the publisher believes, what the receiver got,
and what the log says. No input or output.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Request:
    """
    A request as the receiver saw it, and whether it answered with success.
    """

    event_id: str
    delivery_id: str
    number: int
    confirmed: bool


@dataclass(slots=True)
class Ledger:
    """
    All three logs.

    *attempts* are the numbers of attempts that have a row, by delivery;
    *interrupted* are those among them whose outcome the service does not know.
    """

    acknowledged: set[str] = field(default_factory=set)
    requests: list[Request] = field(default_factory=list)
    attempts: set[tuple[str, int]] = field(default_factory=set)
    interrupted: set[tuple[str, int]] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Verdict:
    """
    What came of a run.

    An event is lost if it was acknowledged and never confirmed. Every
    confirmation of a delivery beyond the first is a duplicate; allowed is one
    for each attempt that was cut off, since only there the service cannot know
    that the receiver had confirmed.
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
        Whether every promise was kept.
        """
        return not (self.lost or self.beyond_bound or self.without_row)

    def line(self, kills: int) -> str:
        """
        Say it in one line.
        """
        return (
            f"acknowledged {self.acknowledged}, lost {len(self.lost)},"
            f" duplicates {self.duplicates} (bound {self.bound}),"
            f" without attempt row {len(self.without_row)}, kills {kills}"
        )


def judge(ledger: Ledger) -> Verdict:
    """
    Compare the logs.
    """
    confirmed = [it for it in ledger.requests if it.confirmed]
    extra = _beyond_first(it.delivery_id for it in confirmed)
    allowed = Counter(delivery_id for delivery_id, _ in ledger.interrupted)
    made = {(it.delivery_id, it.number) for it in ledger.requests}
    return Verdict(
        acknowledged=len(ledger.acknowledged),
        lost=frozenset(ledger.acknowledged - {it.event_id for it in confirmed}),
        duplicates=sum(extra.values()),
        bound=sum(allowed.values()),
        beyond_bound=frozenset(key for key, count in extra.items() if count > allowed[key]),
        without_row=frozenset(made - ledger.attempts),
    )


def _beyond_first(deliveries: Iterable[str]) -> dict[str, int]:
    counts = Counter(deliveries)
    return {key: count - 1 for key, count in counts.items() if count > 1}
