"""
What is done with a leased delivery.
"""

from __future__ import annotations

from datetime import timedelta

import pytest

from dispatch_service.delivery.attempt import Attempt, plan
from dispatch_service.delivery.endpoint_queue import Ready
from dispatch_service.domain.deliveries import State, Transition
from dispatch_service.domain.outcomes import FailureKind
from dispatch_service.domain.work import Claimed, Release
from dispatch_service.routing.subscriptions import Subscription
from tests.support.dispatch_factories import claimed, subscription


def planned(
    it: Claimed,
    wanted: Subscription | None,
    *,
    body: bytes | None = b"{}",
    lease_left: float = 45,
) -> Attempt | Transition | Release:
    """
    Plan with a deadline of ten seconds.
    """
    return plan(Ready(it, body, 0.0), wanted, lease_left=lease_left, deadline=10)


def test_sends() -> None:
    """
    A delivery that is wanted is attempted.
    """
    assert planned(claimed(), subscription()) == Attempt(subscription(), b"{}")


@pytest.mark.parametrize("wanted", [None, subscription(deleted=True)])
def test_cancels_what_nobody_wants(wanted: Subscription | None) -> None:
    """
    A delivery whose subscription is deleted is cancelled.
    """
    done = planned(claimed(), wanted)

    assert isinstance(done, Transition)
    assert done.state is State.CANCELLED


@pytest.mark.parametrize(
    ("it", "kind"),
    [
        (claimed(expired=True), FailureKind.EXPIRED),
        (claimed(interrupted=10), FailureKind.POISON),
    ],
)
def test_gives_up(it: Claimed, kind: FailureKind) -> None:
    """
    A delivery is given up when its time is up, and when it has been cut off ten times.
    """
    done = planned(it, subscription())

    assert isinstance(done, Transition)
    assert (done.state, done.failure_kind) == (State.FAILED, kind)


def test_gives_up_without_a_payload() -> None:
    """
    What has no payload any more cannot be sent.
    """
    done = planned(claimed(), subscription(), body=None)

    assert isinstance(done, Transition)
    assert done.failure_kind is FailureKind.RENDER


def test_parks_for_an_inactive_subscription() -> None:
    """
    What an Inactive subscription waits for is let go until it is Active.
    """
    it = claimed()

    assert planned(it, subscription(active=False)) == Release(it, None, 1)


def test_lets_go_of_a_short_lease() -> None:
    """
    A request leaves only with enough of the lease for its deadline and its settling.
    """
    it = claimed()

    assert planned(it, subscription(), lease_left=14.9) == Release(it, timedelta())
    assert isinstance(planned(it, subscription(), lease_left=15.1), Attempt)
