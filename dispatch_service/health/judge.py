"""
How the endpoint of a subscription is doing: what its attempts come to, and what
follows from that. No I/O, no clock: `now` is passed in.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

FAILURES_TO_REPORT = 3
"""
So many failures in a row, over long enough, are reported.
"""


class Change(StrEnum):
    """
    What an endpoint has become.
    """

    FAILING = "FAILING"
    RECOVERED = "RECOVERED"
    GONE = "GONE"
    DEACTIVATED = "DEACTIVATED"


@dataclass(frozen=True, slots=True)
class Health:
    """
    An endpoint whose last attempt failed. *reported* says whether its owner was told.
    """

    failing_since: datetime
    failed_attempts: int
    reported: bool = False


@dataclass(frozen=True, slots=True)
class Patience:
    """
    When failures are reported, and when they end a subscription; None for never.
    """

    report_after: timedelta
    deactivate_after: timedelta | None = None


def succeeded(health: Health | None) -> Change | None:
    """
    Say what a success tells; after it the endpoint is well.
    """
    return Change.RECOVERED if health is not None and health.reported else None


def failed(
    health: Health | None, now: datetime, patience: Patience, *, gone: bool
) -> tuple[Health, Change | None]:
    """
    Count a failure; return what is known now, and what has changed by it.
    """
    before = health or Health(now, 0)
    known = replace(before, failed_attempts=before.failed_attempts + 1)
    lasted = now - known.failing_since
    if gone:
        return replace(known, reported=True), Change.GONE
    if patience.deactivate_after is not None and lasted >= patience.deactivate_after:
        return replace(known, reported=True), Change.DEACTIVATED
    enough = known.failed_attempts >= FAILURES_TO_REPORT and lasted >= patience.report_after
    if enough and not known.reported:
        return replace(known, reported=True), Change.FAILING
    return known, None
