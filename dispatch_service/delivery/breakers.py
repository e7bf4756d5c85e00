"""
Circuit breakers: how many requests a degraded endpoint gets at a time, and when it gets none.
No I/O, no clock: spans are returned, `chance` is passed in.

An endpoint without a breaker is healthy. A failure halves its number of requests, a success adds
one; several failures in a row open the breaker, and its deliveries wait without using up
attempts. After a pause one delivery is sent as a probe: if it fails, the next pause is longer;
if it succeeds, the breaker closes and the endpoint starts with one request at a time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from enum import Enum, auto

from dispatch_service.domain.outcomes import FailureKind, Outcome
from dispatch_service.domain.transitions import jittered

FAILURES_TO_OPEN = 5
"""
So many failures in a row open a breaker.
"""

FIRST_PAUSE = timedelta(seconds=5)
LONGEST_PAUSE = timedelta(minutes=5)
"""
Pauses double from the first to the longest.
"""

DEAD_AFTER = timedelta(hours=24)
PROBES_TO_BE_DEAD = 3
"""
An endpoint is dead after so many failed probes, when its breaker has been open for so long. What
has waited for it for so long beyond its time to expire is given up.
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


class EndpointVerdict(Enum):
    """
    What an outcome says of the endpoint as a whole.
    """

    SUCCESS = auto()
    ANSWERED = auto()  # the attempt failed, but the endpoint can be reached
    FAILURE = auto()  # not reached, or it asked for fewer requests
    UNRELATED = auto()  # the attempt failed on our side


@dataclass(frozen=True, slots=True)
class Breaker:
    """
    The state of a degraded endpoint.

    *limit* is how many requests it may get at a time, *failures* counts those in a row, *trips*
    how often it opened without a success between. While it is *open* only probes are sent.
    """

    limit: int
    failures: int = 0
    trips: int = 0
    open: bool = False


def judge(outcome: Outcome) -> EndpointVerdict:
    """
    Judge the endpoint by an outcome: one that is not reached fails, and so does one that answers
    429, 502, 503 or 504, which ask for fewer requests.
    """
    if outcome.succeeded:
        return EndpointVerdict.SUCCESS
    if outcome.status_code in _SLOW_DOWN or outcome.failure_kind in _UNREACHED:
        return EndpointVerdict.FAILURE
    answered = outcome.status_code is not None
    return EndpointVerdict.ANSWERED if answered else EndpointVerdict.UNRELATED


def after(breaker: Breaker | None, verdict: EndpointVerdict, cap: int) -> Breaker | None:
    """
    Return the breaker after an outcome, before it may open; None for a healthy endpoint.

    *cap* is how many requests a healthy endpoint gets at a time.
    """
    if verdict is EndpointVerdict.UNRELATED:
        return breaker
    if verdict is EndpointVerdict.FAILURE:
        known = breaker or Breaker(cap)
        return replace(known, limit=max(known.limit // 2, 1), failures=known.failures + 1)
    if breaker is None:
        return None
    if breaker.open:
        return Breaker(1)
    limit = breaker.limit + (1 if verdict is EndpointVerdict.SUCCESS else 0)
    return None if limit >= cap else Breaker(limit)


def opens(breaker: Breaker | None, retry_after: timedelta | None) -> bool:
    """
    Tell whether a breaker opens after a failure: there were too many in a row, a probe failed,
    or the receiver asked to be left alone for *retry_after*.
    """
    if breaker is None or breaker.failures == 0:
        return False
    probed = breaker.trips > 0
    return probed or retry_after is not None or breaker.failures >= FAILURES_TO_OPEN


def opened(
    breaker: Breaker, retry_after: timedelta | None, chance: float
) -> tuple[Breaker, timedelta]:
    """
    Open a breaker; return it with the pause. *chance* is in [0, 1), for the jitter.

    A receiver may ask for a longer pause, up to the longest: one answer that asks for a day
    should not delay all other deliveries to the endpoint.
    """
    pause = min(FIRST_PAUSE * 2 ** min(breaker.trips, 10), LONGEST_PAUSE)
    pause = jittered(pause, chance)
    if retry_after is not None:
        pause = max(pause, min(retry_after, LONGEST_PAUSE))
    return Breaker(1, trips=breaker.trips + 1, open=True), pause
