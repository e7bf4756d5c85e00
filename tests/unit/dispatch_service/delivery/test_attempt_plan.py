"""
The decision about a leased delivery.
"""

from __future__ import annotations

from datetime import timedelta

import pytest

from dispatch_service.delivery.attempt import UNREAD_DELAY, Attempt, plan
from dispatch_service.delivery.endpoint_queue import MissingBody, Ready
from dispatch_service.domain.outcomes import FailureKind
from dispatch_service.domain.transitions import LONGEST_LIFETIME, State, Transition
from dispatch_service.domain.work import Claimed, Release, Requeue, Suspend
from dispatch_service.routing.subscriptions import Subscription
from tests.support.dispatch_factories import claimed, subscription


def planned(
    it: Claimed,
    wanted: Subscription | None,
    *,
    body: bytes | MissingBody = b"{}",
    lease_left: float = 45,
    deaths: int = 0,
    held: int | None = None,
) -> Attempt | Transition | Release:
    """
    Plan with a deadline of ten seconds.
    """
    return plan(Ready(it, body, 0.0, deaths), wanted, held=held, lease_left=lease_left, deadline=10)


def test_wanted_delivery_is_attempted() -> None:
    """
    A delivery that is wanted is attempted.
    """
    assert planned(claimed(), subscription()) == Attempt(subscription(), b"{}")


@pytest.mark.parametrize(
    ("it", "deaths", "kind"),
    [
        (claimed(time_left=timedelta(), retries_used=1), 0, FailureKind.EXPIRED),
        (claimed(interrupted=13), 10, FailureKind.POISON),
    ],
)
def test_late_or_deadly_delivery_fails(it: Claimed, deaths: int, kind: FailureKind) -> None:
    """
    A delivery fails when its receiver has used up its time, and when ten processes have died of
    it.
    """
    done = planned(it, subscription(), deaths=deaths)

    assert isinstance(done, Transition)
    assert (done.state, done.failure_kind) == (State.FAILED, kind)


def test_delivery_that_was_only_interrupted_is_attempted() -> None:
    """
    However often a process died while a delivery waited in memory, that is not its fault.
    """
    it = claimed(interrupted=50)

    assert planned(it, subscription(), deaths=9) == Attempt(subscription(), b"{}")


def test_late_delivery_without_an_outcome_is_attempted() -> None:
    """
    A delivery does not fail before its receiver has refused it once.
    """
    it = claimed(time_left=timedelta(seconds=-1), number=3)

    assert isinstance(planned(it, subscription()), Attempt)


def test_late_delivery_of_an_inactive_subscription_is_cancelled() -> None:
    """
    A delivery waits for an Inactive subscription until it expires, with or without an outcome.
    """
    for retries_used in (0, 1):
        it = claimed(time_left=timedelta(), retries_used=retries_used)
        done = planned(it, subscription(active=False))

        assert isinstance(done, Transition)
        assert (done.state, done.failure_kind) == (
            State.CANCELLED,
            FailureKind.SUBSCRIPTION_INACTIVE,
        )


@pytest.mark.parametrize(
    ("it", "wanted", "kind"),
    [
        (claimed(cancelled=True), subscription(), None),
        (claimed(), None, FailureKind.SUBSCRIPTION_DELETED),
        (claimed(), subscription(deleted=True), FailureKind.SUBSCRIPTION_DELETED),
    ],
    ids=["cancelled", "unknown", "deleted"],
)
def test_delivery_that_nobody_wants_is_cancelled(
    it: Claimed, wanted: Subscription | None, kind: FailureKind | None
) -> None:
    """
    It says whether its subscription was deleted; one that a caller cancelled has no failure.
    """
    done = planned(it, wanted)

    assert isinstance(done, Transition)
    assert (done.state, done.failure_kind) == (State.CANCELLED, kind)


@pytest.mark.parametrize(
    ("cause", "kind"),
    [
        (MissingBody.GONE, FailureKind.BODY_ERASED),
        (MissingBody.SEAL_BROKEN, FailureKind.BODY_DAMAGED),
    ],
)
def test_delivery_without_a_payload_fails(cause: MissingBody, kind: FailureKind) -> None:
    """
    Without a payload a delivery fails for good, and says why there is none.
    """
    done = planned(claimed(), subscription(), body=cause)

    assert isinstance(done, Transition)
    assert done.failure_kind is kind


def test_delivery_whose_payload_was_not_opened_waits() -> None:
    """
    A key that is missing here, or a store that is away, is no fault of the payload.
    """
    it = claimed()

    assert planned(it, subscription(), body=MissingBody.UNREAD) == Requeue(it, UNREAD_DELAY)


def test_delivery_of_an_inactive_subscription_is_suspended() -> None:
    """
    A delivery of an Inactive subscription is released until the subscription is Active.
    """
    it = claimed()

    assert planned(it, subscription(active=False)) == Suspend(it, 1)


@pytest.mark.parametrize("known", [None, subscription(), subscription(active=False)])
def test_delivery_of_a_held_subscription_waits(known: Subscription | None) -> None:
    """
    What the feed lacks without having deleted it is not given up, whether it is known or not.
    """
    it = claimed()

    assert planned(it, known, held=4) == Suspend(it, 4, hold=LONGEST_LIFETIME)


def test_delivery_of_a_held_subscription_can_be_cancelled() -> None:
    """
    A caller who cancels does not wait for the end of the hold.
    """
    it = claimed(cancelled=True)

    step = planned(it, None, held=4)

    assert isinstance(step, Transition)
    assert step.state is State.CANCELLED


def test_short_lease_is_released() -> None:
    """
    A request is sent only with enough of the lease for its deadline and its settling.
    """
    it = claimed()

    assert planned(it, subscription(), lease_left=14.9) == Requeue(it)
    assert isinstance(planned(it, subscription(), lease_left=15.1), Attempt)
