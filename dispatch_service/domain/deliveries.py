"""
What happens to a delivery: its states and what an outcome does to it. No I/O,
no clock: delays are returned, the database adds them to its own now.
"""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from functools import lru_cache

import msgspec

from dispatch_service.domain.outcomes import FailureKind, Outcome

DEFAULT_RETRY_SCHEDULE: tuple[timedelta, ...] = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)
"""
The delays of Standard Webhooks 1.0.0 after the first attempt.
"""

JITTER = 0.2
"""
The share of a delay by which it is made longer or shorter.
"""

EXPIRY_FACTOR = 1.25
"""
How much longer than the span of its schedule a delivery may take in all.
"""

ATTEMPT_ALLOWANCE = timedelta(seconds=15)
"""
What an attempt may take: its deadline of 10 s and its settling.
"""

POISON_INTERRUPTIONS = 10
"""
After as many interrupted attempts in a row a delivery is given up.
"""

GONE = 410


class State(StrEnum):
    """
    How far a delivery is.
    """

    PENDING = "PENDING"  # waits for its turn or its next attempt
    DELIVERING = "DELIVERING"  # leased by a worker
    SUCCEEDED = "SUCCEEDED"  # confirmed by the receiver
    FAILED = "FAILED"  # attempts used up or expired; can be resent
    CANCELLED = "CANCELLED"  # no longer wanted; can be resent


class Trigger(StrEnum):
    """
    Why an attempt is made.
    """

    EVENT = "EVENT"
    RETRY = "RETRY"
    RESEND = "RESEND"
    TEST = "TEST"


TEST_RESOURCES = "tests/"
"""
What the resources of test deliveries begin with: nothing real, so that a test
waits for no real event of the same resource.
"""


class Transition(msgspec.Struct, frozen=True, gc=False):
    """
    What a settled delivery becomes. Built only by the functions below.

    *delay* is the time until the next attempt and is None where there is none;
    *retries_used* counts the delays of the schedule that have been used up.
    """

    state: State
    retries_used: int
    delay: timedelta | None = None
    failure_kind: FailureKind | None = None
    gone: bool = False


def succeed(retries_used: int) -> Transition:
    """
    End a delivery that the receiver confirmed.
    """
    return Transition(State.SUCCEEDED, retries_used)


def fail(retries_used: int, kind: FailureKind, *, gone: bool = False) -> Transition:
    """
    End a delivery that cannot succeed any more.
    """
    return Transition(State.FAILED, retries_used, failure_kind=kind, gone=gone)


def retry(retries_used: int, delay: timedelta, kind: FailureKind) -> Transition:
    """
    Put a delivery back until *delay* has passed.
    """
    return Transition(State.PENDING, retries_used, delay=delay, failure_kind=kind)


def cancel(retries_used: int) -> Transition:
    """
    End a delivery that nobody wants any more.
    """
    return Transition(State.CANCELLED, retries_used, failure_kind=FailureKind.INACTIVE)


def decide(
    outcome: Outcome,
    *,
    state: State,
    retries_used: int,
    schedule: tuple[timedelta, ...],
    chance: float,
) -> Transition:
    """
    Choose what happens after an attempt.

    *retries_used* is how many delays of *schedule* were used up before it; *chance* is
    a random number in [0, 1) for the jitter. A receiver may ask for more
    patience with `Retry-After`, never for less. A delivery that had already
    succeeded (a forced resend) stays so whatever came of this attempt.
    """
    if outcome.succeeded or state is State.SUCCEEDED:
        return succeed(retries_used)
    kind = outcome.failure_kind or FailureKind.INTERNAL
    if outcome.status_code == GONE:
        return fail(retries_used, kind, gone=True)
    if retries_used >= len(schedule):
        return fail(retries_used, kind)
    delay = jittered(schedule[retries_used], chance)
    if outcome.retry_after is not None:
        delay = max(delay, outcome.retry_after)
    return retry(retries_used + 1, delay, kind)


def jittered(delay: timedelta, chance: float) -> timedelta:
    """
    Make *delay* up to 20 % longer or shorter; *chance* is in [0, 1).
    """
    return delay * (1 + JITTER * (2 * chance - 1))


@lru_cache(maxsize=4096)
def lifetime(schedule: tuple[timedelta, ...]) -> timedelta:
    """
    Return how long after its acceptance a delivery is given up at the latest.

    A short schedule is given the time that its attempts themselves may take.
    """
    span = sum(schedule, timedelta())
    attempts = ATTEMPT_ALLOWANCE * (len(schedule) + 1)
    return max(span * EXPIRY_FACTOR, span * (1 + JITTER) + attempts)
