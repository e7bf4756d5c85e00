"""
What a fault is, and what was seen of it. No I/O.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.faults.harness.site import Site

SQLITE, POSTGRESQL = "sqlite", "postgresql"
BOTH = (SQLITE, POSTGRESQL)


@dataclass(frozen=True, slots=True)
class Check:
    """
    One thing that was looked at. One that is *timed* depends on the speed of the machine.
    """

    text: str
    good: bool
    timed: bool = False


@dataclass(slots=True)
class Report:
    """
    What was seen of a fault on one database. *lost* counts acknowledged events that were not
    confirmed.
    """

    checks: list[Check] = field(default_factory=list)
    lost: int = 0
    skipped: str = ""

    def expect(self, good: bool, text: str, *, timed: bool = False) -> None:
        """
        Add a check.
        """
        self.checks.append(Check(text, good, timed))

    @property
    def survived(self) -> bool:
        """
        Whether all checks are good, and there is one.
        """
        return bool(self.checks) and not self.lost and all(check.good for check in self.checks)

    @property
    def only_late(self) -> bool:
        """
        Whether nothing but a bound of time was missed.
        """
        bad = [check for check in self.checks if not check.good]
        return bool(bad) and not self.lost and all(check.timed for check in bad)

    @property
    def seen(self) -> str:
        """
        All checks in one line; those that failed stand first, marked.
        """
        bad = [f"NOT: {check.text}" for check in self.checks if not check.good]
        good = [check.text for check in self.checks if check.good]
        lost = [f"LOST {self.lost}"] if self.lost else []
        return "; ".join([*lost, *bad, *good])


@dataclass(frozen=True, slots=True)
class Fault:
    """
    A scenario: it brings about a fault at a site and reports there what it sees.

    It is cut off after *seconds*, or later on a busy machine. One that *moves_clock* gets a clock
    that it can move: that of the PostgreSQL server, or that of the services on SQLite. One that is
    *busy* all the time runs while no other such does; the others mostly wait.
    """

    name: str
    promise: str
    run: Callable[[Site], Awaitable[None]]
    databases: Sequence[str] = BOTH
    seconds: float = 150.0
    moves_clock: bool = False
    busy: bool = False


def median(reports: Sequence[Report]) -> Report:
    """
    Return the report that stands for several runs: that of the majority.
    """
    good = [report for report in reports if report.survived]
    bad = [report for report in reports if not report.survived]
    return good[-1] if len(good) > len(bad) else bad[-1]


def summary(reports: Sequence[Report]) -> str:
    """
    Return the last line of a run.
    """
    judged = [report for report in reports if not report.skipped]
    survived = sum(report.survived for report in judged)
    lost = sum(report.lost for report in judged)
    return f"faults {len(judged)}, survived {survived}, lost {lost}"
