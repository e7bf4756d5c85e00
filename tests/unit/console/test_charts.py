"""
Figures in words and as bars.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from console.words import charts
from shipedge.webhooks.dispatch.v1.subscription_stats_pb2 import AttemptFigures, SubscriptionStats

START = datetime(2026, 1, 31, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)


def figures(succeeded: int, failed: int) -> AttemptFigures:
    """
    Return figures as the API makes them.
    """
    found = AttemptFigures(success_count=succeeded, failure_count=failed)
    if succeeded + failed:
        found.success_rate = succeeded / (succeeded + failed)
        found.p95_duration.FromMilliseconds(120)
    return found


def stats(*periods: tuple[int, AttemptFigures]) -> SubscriptionStats:
    """
    Return the figures of ten hours, some of which have attempts.
    """
    found = SubscriptionStats()
    found.start_time.FromDatetime(START)
    found.end_time.FromDatetime(START + 10 * HOUR)
    for hour, each in periods:
        period = found.periods.add(figures=each)
        period.start_time.FromDatetime(START + hour * HOUR)
    return found


def test_bars_stand_where_their_period_is() -> None:
    """
    The highest fills the box; failures stand on successes.
    """
    chart = charts.attempts(stats((0, figures(30, 10)), (9, figures(10, 0))), HOUR)
    first, last = chart.bars

    assert chart.most == 40
    assert (first.x, last.x, first.width) == (7.5, 907.5, 85.0)
    assert first.top == pytest.approx(1.5, abs=0.1)
    assert first.good == pytest.approx(3 * first.bad, rel=0.01)
    assert last.bad == 0
    assert first.words == "2026-01-31 09:00 UTC: 30 succeeded, 10 failed, p95 120 ms"


def test_one_failure_among_many_is_seen() -> None:
    """
    Its bar has a height that can be seen.
    """
    (bar,) = charts.attempts(stats((0, figures(1_000_000, 1))), HOUR).bars

    assert bar.bad == 1.5


def test_no_attempts_make_no_chart() -> None:
    """
    There are no bars then.
    """
    assert charts.attempts(SubscriptionStats(), HOUR).bars == []


@pytest.mark.parametrize(
    ("succeeded", "failed", "share", "word", "sentence"),
    [
        (0, 0, charts.NOTHING, "Quiet", "no attempt ended"),
        (12_345, 0, "100 %", "Well", "all 12,345 attempts succeeded"),
        (99_999, 1, "99.9 %", "Failures", "1 of 100,000 attempts failed"),
        (1, 2, "33.3 %", "Failures", "2 of 3 attempts failed"),
        (0, 2, "0 %", "Failures", "2 of 2 attempts failed"),
    ],
)
def test_words(succeeded: int, failed: int, share: str, word: str, sentence: str) -> None:
    """
    Only all is 100 %.
    """
    found = figures(succeeded, failed)

    assert charts.share(found) == share
    assert (charts.verdict(found).word, charts.verdict(found).sentence) == (word, sentence)
