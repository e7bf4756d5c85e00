"""
What an outcome does to a delivery.
"""

from __future__ import annotations

from datetime import timedelta

import pytest

from dispatch_service.domain.outcomes import FailureKind, Outcome
from dispatch_service.domain.transitions import (
    DEFAULT_RETRY_SCHEDULE,
    State,
    Transition,
    WaitReason,
    decide,
    jittered,
    lifetime,
)

SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)
SCHEDULE = (SECOND, HOUR)
SUCCESS = Outcome(succeeded=True, status_code=200)
LOST = Outcome(succeeded=False, failure_kind=FailureKind.CONNECTION_LOST)
STALE = Outcome(succeeded=False, status_code=401, failure_kind=FailureKind.STALE_TOKEN)
TIMEOUT = Outcome(succeeded=False, failure_kind=FailureKind.TIMEOUT)


def failed(code: int, retry_after: timedelta | None = None) -> Outcome:
    """
    Make an outcome of a status code that is not 2xx.
    """
    return Outcome(
        succeeded=False,
        status_code=code,
        failure_kind=FailureKind.HTTP_STATUS,
        retry_after=retry_after,
    )


def after(
    outcome: Outcome,
    *,
    retries_used: int = 0,
    state: State = State.DELIVERING,
    time_left: timedelta = 2 * HOUR,
    age: timedelta = DAY,
    last_failure: FailureKind | None = None,
) -> Transition:
    """
    Decide without jitter.
    """
    return decide(
        outcome,
        state=state,
        retries_used=retries_used,
        schedule=SCHEDULE,
        time_left=time_left,
        age=age,
        chance=0.5,
        last_failure=last_failure,
    )


@pytest.mark.parametrize("retries_used", [0, 1, 2])
@pytest.mark.parametrize("last_failure", [None, FailureKind.TIMEOUT])
@pytest.mark.parametrize("outcome", [LOST, STALE], ids=["lost", "stale"])
def test_lost_connection_and_stale_token_are_repeated_at_once(
    outcome: Outcome, retries_used: int, last_failure: FailureKind | None
) -> None:
    """
    The repetition uses no step of the schedule, not even behind the last one.
    """
    moved = after(outcome, retries_used=retries_used, last_failure=last_failure)

    assert moved == Transition(
        State.PENDING,
        retries_used,
        delay=timedelta(),
        wait_reason=WaitReason.BACKLOG,
        time_left=2 * HOUR,
        failure_kind=outcome.failure_kind,
    )


@pytest.mark.parametrize("outcome", [TIMEOUT, LOST, STALE])
@pytest.mark.parametrize("last_failure", [FailureKind.CONNECTION_LOST, FailureKind.STALE_TOKEN])
def test_repetition_that_fails_uses_up_a_delay(outcome: Outcome, last_failure: FailureKind) -> None:
    """
    There is one repetition a step.
    """
    moved = after(outcome, last_failure=last_failure)

    assert (moved.retries_used, moved.delay) == (1, SECOND)


def test_lost_connection_of_what_has_expired_or_had_succeeded() -> None:
    """
    Neither is repeated.
    """
    assert after(LOST, time_left=-SECOND).failure_kind is FailureKind.EXPIRED
    assert after(LOST, state=State.SUCCEEDED) == Transition(State.SUCCEEDED, 0)


def test_success_is_final() -> None:
    """
    A confirmed delivery is over.
    """
    assert after(SUCCESS) == Transition(State.SUCCEEDED, 0)


@pytest.mark.parametrize(("retries_used", "delay"), [(0, SECOND), (1, HOUR)])
def test_failure_uses_up_one_delay(retries_used: int, delay: timedelta) -> None:
    """
    Each failed attempt waits for the next delay of the schedule.
    """
    moved = after(TIMEOUT, retries_used=retries_used)

    assert (moved.state, moved.retries_used, moved.delay) == (
        State.PENDING,
        retries_used + 1,
        delay,
    )
    assert moved.failure_kind is FailureKind.TIMEOUT


def test_used_up_schedule_fails() -> None:
    """
    When no delay is left the delivery has failed.
    """
    assert after(TIMEOUT, retries_used=2) == Transition(
        State.FAILED, 2, failure_kind=FailureKind.TIMEOUT
    )


def test_gone_ends_at_once() -> None:
    """
    410 ends the delivery whatever is left of the schedule.
    """
    moved = after(failed(410))

    assert (moved.state, moved.gone) == (State.FAILED, True)


@pytest.mark.parametrize(
    ("asked", "delay"), [(timedelta(seconds=30), timedelta(seconds=30)), (timedelta(), SECOND)]
)
def test_receiver_may_ask_for_more_patience_never_for_less(
    asked: timedelta, delay: timedelta
) -> None:
    """
    `Retry-After` only makes a delay longer.
    """
    assert after(failed(503, asked)).delay == delay


@pytest.mark.parametrize(
    ("asked", "time_left", "reason"),
    [
        (None, 2 * HOUR, WaitReason.SCHEDULE),
        (timedelta(seconds=1), 2 * HOUR, WaitReason.SCHEDULE),
        (timedelta(seconds=31), 2 * HOUR + timedelta(seconds=30), WaitReason.RETRY_AFTER),
        (timedelta(hours=24), 26 * HOUR - SECOND, WaitReason.RETRY_AFTER),
    ],
)
def test_pause_that_a_receiver_asks_for_uses_up_no_time(
    asked: timedelta | None, time_left: timedelta, reason: WaitReason
) -> None:
    """
    Beyond the delay of the schedule, `Retry-After` puts off the time to expire.
    """
    moved = after(failed(503, asked))

    assert (moved.time_left, moved.wait_reason) == (time_left, reason)


@pytest.mark.parametrize(
    ("retries_used", "time_left", "state"),
    [
        (0, SECOND, State.PENDING),
        (0, timedelta(milliseconds=999), State.FAILED),
        (0, -HOUR, State.FAILED),
        (1, HOUR, State.PENDING),
        (1, timedelta(minutes=59), State.FAILED),
    ],
)
def test_delivery_expires_when_its_next_attempt_would_be_too_late(
    retries_used: int, time_left: timedelta, state: State
) -> None:
    """
    It does not wait for an attempt that it would not get, whatever the receiver asks for.
    """
    for outcome in (TIMEOUT, failed(429, HOUR)):
        moved = after(outcome, retries_used=retries_used, time_left=time_left)

        assert moved.state is state
        assert (moved.failure_kind is FailureKind.EXPIRED) == (state is State.FAILED)


@pytest.mark.parametrize("asked", [None, timedelta(seconds=120), timedelta(hours=24)])
def test_every_schedule_is_used_up(asked: timedelta | None) -> None:
    """
    Whatever pauses a receiver asks for, with all jitter, no delivery expires within its schedule.
    """
    for schedule in ((timedelta(seconds=5),) * 3, (SECOND,), DEFAULT_RETRY_SCHEDULE):
        left, used = lifetime(schedule), 0
        while used < len(schedule):
            moved = decide(
                failed(429, asked),
                state=State.DELIVERING,
                retries_used=used,
                schedule=schedule,
                time_left=left,
                age=DAY,
                chance=0.999,
            )
            assert moved.state is State.PENDING
            assert moved.time_left is not None
            assert moved.delay is not None
            left, used = moved.time_left - moved.delay, moved.retries_used


@pytest.mark.parametrize("asked", [None, timedelta(seconds=120)])
def test_schedule_that_became_longer_is_used_up(asked: timedelta | None) -> None:
    """
    A delivery that was accepted under a short schedule has all attempts of the longer one by which
    it is retried now, and the time for them.
    """
    left, age, used = lifetime((SECOND,)), timedelta(), 0
    while used < len(DEFAULT_RETRY_SCHEDULE):
        moved = decide(
            failed(429, asked),
            state=State.DELIVERING,
            retries_used=used,
            schedule=DEFAULT_RETRY_SCHEDULE,
            time_left=left,
            age=age,
            chance=0.999,
        )
        assert moved.state is State.PENDING
        assert moved.time_left is not None
        assert moved.delay is not None
        left, used, age = moved.time_left - moved.delay, moved.retries_used, age + moved.delay


@pytest.mark.parametrize(
    ("age", "time_left"),
    [
        (timedelta(), lifetime(SCHEDULE)),
        (timedelta(minutes=1), lifetime(SCHEDULE) - timedelta(minutes=1)),
        (DAY, HOUR),
    ],
)
def test_time_of_a_schedule_counts_from_the_acceptance(
    age: timedelta, time_left: timedelta
) -> None:
    """
    What is left of it is never shortened: it may have been put off.
    """
    assert after(TIMEOUT, time_left=HOUR, age=age).time_left == time_left


def test_forced_resend_of_a_success_stays_a_success() -> None:
    """
    A delivery that had succeeded does so whatever comes of one more attempt.
    """
    assert after(TIMEOUT, state=State.SUCCEEDED).state is State.SUCCEEDED


@pytest.mark.parametrize(("chance", "factor"), [(0.0, 0.8), (0.5, 1.0), (1.0, 1.2)])
def test_jitter_is_a_fifth_either_way(chance: float, factor: float) -> None:
    """
    A delay becomes 20 % longer or shorter at most.
    """
    assert jittered(HOUR, chance) == HOUR * factor


def test_default_schedule_is_that_of_standard_webhooks() -> None:
    """
    Ten attempts over about three days.
    """
    seconds = [int(delay.total_seconds()) for delay in DEFAULT_RETRY_SCHEDULE]

    assert seconds == [5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400]


def test_lifetime_is_a_quarter_longer_than_the_schedule() -> None:
    """
    A delivery expires at 1.25 times the span of its schedule.
    """
    span = sum(DEFAULT_RETRY_SCHEDULE, timedelta())

    assert lifetime(DEFAULT_RETRY_SCHEDULE) == span * 1.25


def test_short_schedule_has_time_for_its_attempts() -> None:
    """
    The attempts of a schedule of seconds do not outlast their delivery.
    """
    assert lifetime((SECOND,)) >= SECOND * 1.2 + timedelta(seconds=20)
