"""
How many requests an endpoint gets at a time while it is in trouble, and when it
gets none: a breaker. No I/O, no clock: spans are returned, `chance` is passed in.

An endpoint without a breaker is healthy. Trouble halves what it gets, success
adds one; trouble several times in a row opens the breaker, and what waits is
parked without using up attempts. When the pause is over a probe is sent: one
that fails makes the next pause longer, one that succeeds closes the breaker,
and the endpoint starts slowly.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from enum import Enum, auto

from dispatch_service.domain.deliveries import jittered
from dispatch_service.domain.outcomes import FailureKind, Outcome

TROUBLES_TO_OPEN = 5
"""
So much trouble in a row opens a breaker.
"""

FIRST_PAUSE = timedelta(seconds=5)
LONGEST_PAUSE = timedelta(minutes=5)
"""
Pauses double from the first to the longest.
"""

_SLOW_DOWN = frozenset({429, 502, 503, 504})

_UNREACHED = frozenset(
    {
        FailureKind.TIMEOUT,
        FailureKind.DNS,
        FailureKind.CONNECT,
        FailureKind.TLS,
        FailureKind.CERTIFICATE,
    }
)


class Verdict(Enum):
    """
    What an outcome says of the endpoint as a whole.
    """

    WELL = auto()
    ANSWERED = auto()  # it failed, but the endpoint is there
    TROUBLE = auto()
    NOTHING = auto()  # the fault was ours


@dataclass(frozen=True, slots=True)
class Breaker:
    """
    What is remembered of an endpoint in trouble.

    *limit* is how many requests it may get at a time, *troubles* counts those in a
    row, *trips* how often it opened without a success between. While it is
    *open* only probes are sent.
    """

    limit: int
    troubles: int = 0
    trips: int = 0
    open: bool = False


def judge(outcome: Outcome) -> Verdict:
    """
    Say what an outcome tells of the endpoint: 429, 502, 503 and 504 ask for less,
    and one that is not reached is in trouble.
    """
    if outcome.succeeded:
        return Verdict.WELL
    if outcome.status_code in _SLOW_DOWN or outcome.failure_kind in _UNREACHED:
        return Verdict.TROUBLE
    return Verdict.NOTHING if outcome.status_code is None else Verdict.ANSWERED


def after(breaker: Breaker | None, verdict: Verdict, cap: int) -> Breaker | None:
    """
    Return what a breaker is after an outcome, before it may open; None for healthy.

    *cap* is how many requests a healthy endpoint gets at a time.
    """
    if verdict is Verdict.NOTHING:
        return breaker
    if verdict is Verdict.TROUBLE:
        known = breaker or Breaker(cap)
        return replace(known, limit=max(known.limit // 2, 1), troubles=known.troubles + 1)
    if breaker is None:
        return None
    if breaker.open:
        return Breaker(1)
    limit = breaker.limit + (1 if verdict is Verdict.WELL else 0)
    return None if limit >= cap else Breaker(limit)


def opens(breaker: Breaker | None, retry_after: timedelta | None) -> bool:
    """
    Tell whether a breaker opens after trouble: it came too often, a probe failed, or
    the receiver asked for patience.
    """
    if breaker is None or breaker.troubles == 0:
        return False
    probed = breaker.trips > 0
    return probed or retry_after is not None or breaker.troubles >= TROUBLES_TO_OPEN


def opened(
    breaker: Breaker, retry_after: timedelta | None, chance: float
) -> tuple[Breaker, timedelta]:
    """
    Open a breaker; return it with the pause. *chance* is in [0, 1), for the jitter.

    A receiver may ask for a longer pause, up to the longest: what else waits for
    it should not be held up by one answer for a day.
    """
    pause = min(FIRST_PAUSE * 2 ** min(breaker.trips, 10), LONGEST_PAUSE)
    pause = jittered(pause, chance)
    if retry_after is not None:
        pause = max(pause, min(retry_after, LONGEST_PAUSE))
    return Breaker(1, trips=breaker.trips + 1, open=True), pause
