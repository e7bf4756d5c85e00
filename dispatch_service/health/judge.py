"""
Judge the health of an endpoint by the outcomes of its attempts. No I/O, no clock: `now` is passed
in.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

FAILURES_TO_REPORT = 3
"""
So many failures in a row, over `report_after`, are reported.
"""


class HealthChange(StrEnum):
    """
    A change of an endpoint that its owner learns of.
    """

    FAILING = "FAILING"
    RECOVERED = "RECOVERED"
    GONE = "GONE"
    DEACTIVATED = "DEACTIVATED"


@dataclass(frozen=True, slots=True)
class FailureStreak:
    """
    The failed attempts of an endpoint since its last success.

    `reported` says whether its owner was informed.
    """

    failing_since: datetime
    failed_attempts: int
    reported: bool = False


@dataclass(frozen=True, slots=True)
class FailurePolicy:
    """
    The duration of failures after which they are reported, and after which they end a subscription.

    Without `deactivate_after` they never end it.
    """

    report_after: timedelta
    deactivate_after: timedelta | None = None


def succeeded(streak: FailureStreak | None) -> HealthChange | None:
    """
    Return the change by a success, which ends a streak.
    """
    return HealthChange.RECOVERED if streak is not None and streak.reported else None


def failed(
    streak: FailureStreak | None, now: datetime, policy: FailurePolicy, *, gone: bool
) -> tuple[FailureStreak, HealthChange | None]:
    """
    Count a failure; return the streak with it, and the change by it.

    *gone* says that the receiver has answered 410, which ends the subscription at once.
    """
    before = streak or FailureStreak(now, 0)
    after = replace(before, failed_attempts=before.failed_attempts + 1)
    lasted = now - after.failing_since
    if gone:
        return replace(after, reported=True), HealthChange.GONE
    if policy.deactivate_after is not None and lasted >= policy.deactivate_after:
        return replace(after, reported=True), HealthChange.DEACTIVATED
    enough = after.failed_attempts >= FAILURES_TO_REPORT and lasted >= policy.report_after
    if enough and not after.reported:
        return replace(after, reported=True), HealthChange.FAILING
    return after, None
