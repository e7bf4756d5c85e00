"""
Figures as tables.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from shipedge.webhooks.dispatch.v1.subscription_stats_pb2 import AttemptFigures, SubscriptionStats
from webhooksctl.commands.webhooks.stats import COLUMNS, show_stats
from webhooksctl.output.formats import Format, show_list

STARTED = datetime(2026, 1, 31, 9, tzinfo=UTC)


@pytest.fixture
def stats() -> SubscriptionStats:
    """
    Return the figures of two minutes.
    """
    found = SubscriptionStats(subscription="accounts/100/subscriptions/sub_1")
    found.total.CopyFrom(AttemptFigures(success_count=30, failure_count=10, success_rate=0.75))
    found.total.p95_duration.FromMilliseconds(310)
    found.last_failure_time.FromDatetime(STARTED)
    for minute in range(2):
        period = found.periods.add(figures=AttemptFigures(success_count=15, failure_count=5))
        period.start_time.FromDatetime(STARTED + timedelta(minutes=minute))
    return found


def test_what_fails_most_is_a_row(
    stats: SubscriptionStats, capsys: pytest.CaptureFixture[str]
) -> None:
    """
    With its counts, its share of successes and its durations.
    """
    show_list([stats], COLUMNS, Format.TABLE, "accounts/100")
    titles, _, row = capsys.readouterr().out.splitlines()

    assert titles.split()[:7] == ["Id", "Succeeded", "Failed", "Rate", "p50", "p95", "p99"]
    assert row.split() == ["sub_1", "30", "10", "75.00%", "310ms", "2026-01-31", "09:00:00Z"]


def test_each_period_is_a_row(stats: SubscriptionStats, capsys: pytest.CaptureFixture[str]) -> None:
    """
    Below the sum.
    """
    show_stats(stats, Format.TABLE)
    shown = capsys.readouterr().out

    assert "total.success_count" in shown
    assert [line.split() for line in shown.splitlines()[-2:]] == [
        ["2026-01-31", "09:00:00Z", "15", "5"],
        ["2026-01-31", "09:01:00Z", "15", "5"],
    ]
