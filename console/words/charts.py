"""
Figures as charts: where bars and lines are, in a box of 1,000 by 100.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from google.protobuf.duration_pb2 import Duration

from console.words import durations
from console.words.results import Verdict
from shipedge.webhooks.dispatch.v1.subscription_stats_pb2 import AttemptFigures, SubscriptionStats

WIDTH, HEIGHT = 1000.0, 100.0
NOTHING = "\N{EN DASH}"
_GAP = 0.15
_LEAST = 1.5
"""
How high a bar is at least that stands for anything.
"""


@dataclass(frozen=True, slots=True)
class Bar:
    """
    What happened in one period, in words too: *bad* stands on *good*.
    """

    x: float
    width: float
    good: float
    bad: float
    words: str

    @property
    def top(self) -> float:
        """
        Return where the bar ends, from above.
        """
        return HEIGHT - self.good - self.bad


@dataclass(frozen=True, slots=True)
class Chart:
    """
    The attempts of each period as bars, and the highest of them.
    """

    bars: Sequence[Bar]
    most: int


def attempts(stats: SubscriptionStats, period: timedelta) -> Chart:
    """
    Return the attempts of each period of *stats*.
    """
    start = stats.start_time.ToMicroseconds()
    step = period / timedelta(microseconds=1)
    slots = max(round((stats.end_time.ToMicroseconds() - start) / step), 1)
    most = max((_ended(it.figures) for it in stats.periods), default=0)
    wide = WIDTH / slots
    bars = [
        Bar(
            x=round((it.start_time.ToMicroseconds() - start) / step * wide + wide * _GAP / 2, 2),
            width=round(wide * (1 - _GAP), 2),
            good=_height(it.figures.success_count, most),
            bad=_height(it.figures.failure_count, most),
            words=f"{it.start_time.ToDatetime():%Y-%m-%d %H:%M} UTC: {counts(it.figures)}",
        )
        for it in stats.periods
    ]
    return Chart(bars, most)


def _height(count: int, most: int) -> float:
    return max(round(count / most * (HEIGHT - _LEAST), 2), _LEAST) if count else 0.0


def _ended(figures: AttemptFigures) -> int:
    return figures.success_count + figures.failure_count


def counts(figures: AttemptFigures) -> str:
    """
    Say how attempts ended and how long they took.
    """
    text = f"{figures.success_count:,} succeeded, {figures.failure_count:,} failed"
    return f"{text}, p95 {spent(figures.p95_duration)}" if _ended(figures) else text


def spent(duration: Duration) -> str:
    """
    Write how long attempts took; a dash if there were none.
    """
    return durations.shown(duration) if duration.ToMicroseconds() else NOTHING


def share(figures: AttemptFigures) -> str:
    """
    Write the share of successes, rounded so that only all is 100 %; a dash if nothing ended.
    """
    if not figures.HasField("success_rate"):
        return NOTHING
    tenths = int(figures.success_rate * 1000)
    return f"{tenths / 10:g} %"


def verdict(figures: AttemptFigures) -> Verdict:
    """
    Say how attempts went.
    """
    ended = _ended(figures)
    if not ended:
        return Verdict("Quiet", "plain", "no attempt ended")
    if not figures.failure_count:
        return Verdict("Well", "good", f"all {ended:,} attempts succeeded")
    sentence = f"{figures.failure_count:,} of {ended:,} attempts failed"
    return Verdict("Failures", "bad", sentence)
