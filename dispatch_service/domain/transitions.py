"""
The states of a delivery, and what an outcome does to it. No I/O and no clock: delays are
returned, and the database adds them to its own time.

`queue.moves` has the columns that each change of a delivery sets.
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
The share of a delay by which it is made longer or shorter at most.
"""

EXPIRY_FACTOR = 1.25
"""
The time until a delivery expires, as a multiple of the span of its schedule.
"""

LONGEST_LIFETIME = timedelta(days=40)
"""
How long after its acceptance a delivery expires at the latest, however often that was put off.
"""

ATTEMPT_ALLOWANCE = timedelta(seconds=15)
"""
How long an attempt may take: its deadline of 10 seconds, and its result.
"""

SUSPECT_INTERRUPTIONS = 3
"""
So many interrupted attempts in a row make a delivery a suspect: it may be what kills the process.
"""

POISON_DEATHS = 10
"""
So many processes that died while a suspect was the only one on the wire make it poison: it fails.
"""

GONE = 410

_REPEATED = frozenset({FailureKind.CONNECTION_LOST, FailureKind.STALE_TOKEN})


class State(StrEnum):
    """
    The state of a delivery.
    """

    PENDING = "PENDING"  # waits for its turn or its next attempt
    DELIVERING = "DELIVERING"  # leased by a worker
    SUCCEEDED = "SUCCEEDED"  # confirmed by the receiver
    FAILED = "FAILED"  # attempts used up or expired; can be resent
    CANCELLED = "CANCELLED"  # cancelled; can be resent


class WaitReason(StrEnum):
    """
    Why a pending delivery waits, as of the last change of its row. One that is due and whose
    endpoint has an open breaker waits for that, whatever the row says.
    """

    SCHEDULE = "schedule"  # for the next step of its retry schedule
    RETRY_AFTER = "retry_after"  # as long as its receiver has asked for
    THROTTLED = "throttled"  # its subscription is over its limits
    BREAKER = "breaker"  # the breaker of its endpoint is open
    BACKLOG = "backlog"  # it is due, and waits for a free slot
    ORDER = "order"  # for its predecessor in its sequence
    INACTIVE = "inactive"  # its subscription is Inactive
    HELD = "held"  # its subscription is held


class Trigger(StrEnum):
    """
    Why an attempt is made.
    """

    EVENT = "EVENT"
    RETRY = "RETRY"
    RESEND = "RESEND"
    TEST = "TEST"
    REPLAY = "REPLAY"


TEST_RESOURCES = "tests/"
"""
The prefix of resources of test deliveries. No real resource has it, so that a test is blocked
by no real event.
"""


class Transition(msgspec.Struct, frozen=True, gc=False):
    """
    What a settled delivery becomes. Only the functions below make it.

    *delay* is the time until the next attempt, None if there is none, and *wait_reason* why it
    is that long. *retries_used* counts the delays of the schedule that were used. *time_left* is
    the time until it expires, None if that does not change.
    """

    state: State
    retries_used: int
    delay: timedelta | None = None
    wait_reason: WaitReason | None = None
    time_left: timedelta | None = None
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


def retry(
    retries_used: int,
    delay: timedelta,
    kind: FailureKind,
    *,
    reason: WaitReason = WaitReason.SCHEDULE,
    time_left: timedelta | None = None,
) -> Transition:
    """
    Have a delivery attempted again when *delay* has passed.
    """
    return Transition(
        State.PENDING,
        retries_used,
        delay=delay,
        wait_reason=reason,
        time_left=time_left,
        failure_kind=kind,
    )


def cancel(retries_used: int, kind: FailureKind | None = None) -> Transition:
    """
    End a delivery that was cancelled, or by *kind*, because its subscription was deleted or
    stayed Inactive.
    """
    return Transition(State.CANCELLED, retries_used, failure_kind=kind)


def decide(
    outcome: Outcome,
    *,
    state: State,
    retries_used: int,
    schedule: tuple[timedelta, ...],
    time_left: timedelta,
    age: timedelta,
    chance: float,
    last_failure: str | None = None,
) -> Transition:
    """
    Choose what a delivery becomes after an attempt.

    *retries_used* is how many delays of *schedule* were used before the attempt, *time_left*
    the time until it expired when the attempt began, *age* the time since its acceptance, *chance*
    a random number in [0, 1) for the jitter. With `Retry-After` a receiver can make the delay
    longer, not shorter; the rest of the schedule still follows. A delivery expires now if its time
    ends before its next attempt; where the schedule has become longer since, it has the time of
    the longer one. One that had succeeded before, which is a forced resend, stays SUCCEEDED.

    Where the connection was lost under the request, or its token was stale, it is repeated at
    once, without a step of the schedule, unless *last_failure*, of the attempt before, says that
    this was the repetition.
    """
    if outcome.succeeded or state is State.SUCCEEDED:
        return succeed(retries_used)
    kind = outcome.failure_kind or FailureKind.INTERNAL
    if outcome.status_code == GONE:
        return fail(retries_used, kind, gone=True)
    # It is longer than what is left alone where the schedule has changed.
    time_left = max(time_left, lifetime(schedule) - age)
    is_repeated = kind in _REPEATED and not is_repetition(last_failure)
    if is_repeated and time_left > timedelta():
        return retry(
            retries_used, timedelta(), kind, reason=WaitReason.BACKLOG, time_left=time_left
        )
    if retries_used >= len(schedule):
        return fail(retries_used, kind)
    delay = jittered(schedule[retries_used], chance)
    if delay > time_left:
        return fail(retries_used, FailureKind.EXPIRED)
    if outcome.retry_after is None or outcome.retry_after <= delay:
        return retry(retries_used + 1, delay, kind, time_left=time_left)
    return retry(
        retries_used + 1,
        outcome.retry_after,
        kind,
        reason=WaitReason.RETRY_AFTER,
        time_left=time_left + outcome.retry_after - delay,
    )


def is_repetition(last_failure: str | None) -> bool:
    """
    Tell whether an attempt repeats at once a request under which the connection was lost, or whose
    token was stale, by the kind of failure of the attempt before.
    """
    return last_failure in _REPEATED


def jittered(delay: timedelta, chance: float) -> timedelta:
    """
    Make *delay* up to 20 % longer or shorter; *chance* is in [0, 1).
    """
    return delay * (1 + JITTER * (2 * chance - 1))


def is_suspect(interrupted: int) -> bool:
    """
    Tell whether so many attempts in a row were interrupted that the delivery may be the cause.
    """
    return interrupted >= SUSPECT_INTERRUPTIONS


@lru_cache(maxsize=4096)
def lifetime(schedule: tuple[timedelta, ...]) -> timedelta:
    """
    Return how long after its acceptance a delivery expires, if nothing puts that off.

    It is no less than the schedule with its full jitter and the time for each attempt.
    """
    span = sum(schedule, timedelta())
    attempts = ATTEMPT_ALLOWANCE * (len(schedule) + 1)
    return max(span * EXPIRY_FACTOR, span * (1 + JITTER) + attempts)
