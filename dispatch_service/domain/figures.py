"""
Figures of attempts: counts and histograms of durations, by minute, hour and day in UTC.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum


class Unit(StrEnum):
    """
    How long the periods are of which there are figures.
    """

    MINUTE = "MINUTE"
    HOUR = "HOUR"
    DAY = "DAY"

    @property
    def length(self) -> timedelta:
        """
        How long a period is.
        """
        return _LENGTHS[self]

    @property
    def kept(self) -> timedelta:
        """
        How long figures of such periods are kept.
        """
        return _KEPT[self]


_LENGTHS = {
    Unit.MINUTE: timedelta(minutes=1),
    Unit.HOUR: timedelta(hours=1),
    Unit.DAY: timedelta(days=1),
}
_KEPT = {
    Unit.MINUTE: timedelta(days=2),
    Unit.HOUR: timedelta(days=90),
    Unit.DAY: timedelta(days=400),
}
_LONGEST = {Unit.MINUTE: timedelta(hours=6), Unit.HOUR: timedelta(days=30)}

MOST_PERIODS = 3000
"""
The most periods of one span.
"""

# The steps of durations in microseconds below each bound: at most a tenth, from 1 ms on.
_STEPS = ((10_000, 100), (100_000, 1000), (1_000_000, 10_000), (10_000_000, 100_000))
_LAST_STEP = 1_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

BUCKET_SQL = (
    "CASE "
    + " ".join(
        f"WHEN duration_us < {bound} THEN duration_us - duration_us % {step}"
        for bound, step in _STEPS
    )
    + f" ELSE duration_us - duration_us % {_LAST_STEP} END"
)
"""
The expression of SQL for the lower bound of the bucket that an attempt's duration belongs to.
"""


def upper_bound(bucket: int) -> int:
    """
    Return the upper bound of the bucket with the lower bound *bucket*, both in microseconds.
    """
    steps = (step for bound, step in _STEPS if bucket < bound)
    return bucket + next(steps, _LAST_STEP)


@dataclass(slots=True)
class Figures:
    """
    The attempts of a period: how many ended how, when the last did, and how many had a duration
    in each bucket, by its lower bound in microseconds.
    """

    success_count: int = 0
    failure_count: int = 0
    interrupted_count: int = 0
    last_success_time: datetime | None = None
    last_failure_time: datetime | None = None
    durations: dict[int, int] = field(default_factory=dict)

    def add(self, status: str, count: int, last: datetime, bucket: int | None) -> None:
        """
        Add *count* attempts of a status, the last of which was settled at *last*.
        """
        if status == "SUCCESS":
            self.success_count += count
            self.last_success_time = _later(self.last_success_time, last)
        elif status == "FAILURE":
            self.failure_count += count
            self.last_failure_time = _later(self.last_failure_time, last)
        else:
            self.interrupted_count += count
        if bucket is not None:
            self.durations[bucket] = self.durations.get(bucket, 0) + count

    def merge(self, other: Figures) -> None:
        """
        Add the attempts of *other*.
        """
        self.success_count += other.success_count
        self.failure_count += other.failure_count
        self.interrupted_count += other.interrupted_count
        self.last_success_time = _later(self.last_success_time, other.last_success_time)
        self.last_failure_time = _later(self.last_failure_time, other.last_failure_time)
        for bucket, count in other.durations.items():
            self.durations[bucket] = self.durations.get(bucket, 0) + count

    @property
    def success_rate(self) -> float | None:
        """
        The share of successes of what succeeded or failed; None if nothing did.
        """
        ended = self.success_count + self.failure_count
        return self.success_count / ended if ended else None


def _later(one: datetime | None, other: datetime | None) -> datetime | None:
    return max((it for it in (one, other) if it is not None), default=None)


def merged(parts: Iterable[Figures]) -> Figures:
    """
    Return the sum of figures.
    """
    total = Figures()
    for part in parts:
        total.merge(part)
    return total


def percentile(durations: Mapping[int, int], share: float) -> int | None:
    """
    Return the duration in microseconds that a *share* (0 to 1) of attempts did not exceed: the
    upper bound of its bucket. None if there are none.
    """
    rank, seen = math.ceil(sum(durations.values()) * share), 0
    for bucket in sorted(durations):
        seen += durations[bucket]
        if seen >= rank:
            return upper_bound(bucket)
    return None


def period_start(unit: Unit, at: datetime) -> datetime:
    """
    Return when the period began that *at* belongs to.
    """
    return at - (at - _EPOCH) % unit.length


def unit_for(start: datetime, end: datetime, now: datetime) -> Unit:
    """
    Return the shortest unit of which there are figures since *start*, and not too many.
    """
    for unit, longest in _LONGEST.items():
        if end - start <= longest and now - start <= unit.kept:
            return unit
    return Unit.DAY
