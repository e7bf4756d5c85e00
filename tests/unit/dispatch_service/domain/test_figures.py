"""
Figures: periods, histograms and percentiles.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from dispatch_service.domain.figures import (
    Figures,
    Unit,
    merged,
    percentile,
    period_start,
    unit_for,
    upper_bound,
)

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


@pytest.mark.parametrize(
    ("unit", "start"),
    [
        (Unit.MINUTE, datetime(2026, 3, 4, 5, 6, tzinfo=UTC)),
        (Unit.HOUR, datetime(2026, 3, 4, 5, tzinfo=UTC)),
        (Unit.DAY, datetime(2026, 3, 4, tzinfo=UTC)),
    ],
)
def test_periods_begin_at_whole_units(unit: Unit, start: datetime) -> None:
    """
    A period begins at the whole minute, hour or day of UTC, and its start belongs to it.
    """
    assert period_start(unit, NOW) == start
    assert period_start(unit, start) == start
    assert period_start(unit, start - timedelta(microseconds=1)) == start - unit.length


@pytest.mark.parametrize(
    ("bucket", "bound"),
    [
        (0, 100),
        (9_900, 10_000),
        (10_000, 11_000),
        (99_000, 100_000),
        (100_000, 110_000),
        (1_000_000, 1_100_000),
        (9_900_000, 10_000_000),
        (10_000_000, 11_000_000),
    ],
)
def test_buckets_are_narrow(bucket: int, bound: int) -> None:
    """
    A bucket is at most a tenth of its durations wide, from 1 ms on, and the next follows.
    """
    assert upper_bound(bucket) == bound
    assert bound - bucket <= max(bucket / 10, 100)


@pytest.mark.parametrize(
    ("durations", "share", "expected"),
    [
        ({}, 0.5, None),
        ({1000: 1}, 0.5, 1100),
        ({1000: 1}, 0.99, 1100),
        ({1000: 50, 20_000: 50}, 0.5, 1100),
        ({1000: 49, 20_000: 51}, 0.5, 21_000),
        ({20_000: 1, 1000: 99}, 0.99, 1100),
        ({20_000: 2, 1000: 98}, 0.99, 21_000),
    ],
)
def test_percentiles(durations: dict[int, int], share: float, expected: int | None) -> None:
    """
    A percentile is the upper bound of the bucket with the attempt of that rank.
    """
    assert percentile(durations, share) == expected


def test_sums_of_figures() -> None:
    """
    Sums have all attempts and durations, and the last time of each result.
    """
    one, other = Figures(), Figures()
    one.add("SUCCESS", 2, NOW, 1000)
    one.add("FAILURE", 1, NOW, None)
    other.add("SUCCESS", 3, NOW - timedelta(1), 1000)
    other.add("INTERRUPTED", 1, NOW, None)

    total = merged([one, other])

    assert total == Figures(5, 1, 1, NOW, NOW, {1000: 5})
    assert total.success_rate == 5 / 6
    assert Figures(interrupted_count=1).success_rate is None


@pytest.mark.parametrize(
    ("since", "length", "unit"),
    [
        (timedelta(hours=1), timedelta(hours=1), Unit.MINUTE),
        (timedelta(days=3), timedelta(hours=1), Unit.HOUR),
        (timedelta(hours=7), timedelta(hours=7), Unit.HOUR),
        (timedelta(days=31), timedelta(days=31), Unit.DAY),
        (timedelta(days=100), timedelta(hours=1), Unit.DAY),
    ],
)
def test_units_are_chosen_by_span(since: timedelta, length: timedelta, unit: Unit) -> None:
    """
    The unit is the shortest that is still kept and has not too many periods.
    """
    start = NOW - since
    assert unit_for(start, start + length, NOW) == unit
