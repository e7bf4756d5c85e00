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
    decide,
    jittered,
    lifetime,
)

SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)
SCHEDULE = (SECOND, HOUR)
SUCCESS = Outcome(succeeded=True, status_code=200)
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
    outcome: Outcome, *, retries_used: int = 0, state: State = State.DELIVERING
) -> Transition:
    """
    Decide without jitter.
    """
    return decide(outcome, state=state, retries_used=retries_used, schedule=SCHEDULE, chance=0.5)


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
