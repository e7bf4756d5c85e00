"""
A lease covers the wait in memory, the attempt and its result, as long as heartbeats get through.
"""

from __future__ import annotations

import pytest

from dispatch_service.domain.leases import (
    DEAD_SECONDS,
    LONGEST_HORIZON,
    MAY_BEGIN_SECONDS,
    SETTLING_SECONDS,
    TAKE_OVER_SECONDS,
    Heartbeats,
    horizon,
    least_lease,
)

DEADLINES = pytest.mark.parametrize("deadline", [0.5, 1.0, 10.0, 60.0, 300.0])


@DEADLINES
def test_shortest_lease_lets_one_attempt_wait_for_another(deadline: float) -> None:
    """
    What waits behind one attempt that runs until its deadline is still attempted.
    """
    assert horizon(least_lease(deadline), deadline) > min(deadline, LONGEST_HORIZON - 1)


@DEADLINES
@pytest.mark.parametrize("longer", [0.0, 3.0, 15.0, 1000.0])
def test_whatever_waits_ends_within_its_lease(deadline: float, longer: float) -> None:
    """
    The horizon, the deadline and the result fit into the lease.
    """
    lease = least_lease(deadline) + longer

    assert horizon(lease, deadline) + deadline + SETTLING_SECONDS <= lease
    assert 0 < horizon(lease, deadline) <= LONGEST_HORIZON


def test_defaults() -> None:
    """
    The default lease of 45 s leaves the whole horizon.
    """
    assert least_lease(10) == 30
    assert horizon(45, 10) == LONGEST_HORIZON


def beating(*sent: float) -> Heartbeats:
    """
    Return the heartbeats of a process that were sent at these times and got through at once.
    """
    heartbeats = Heartbeats(45.0)
    for number, at in enumerate(sent):
        heartbeats.got_through(at, at, known=number > 0)
    return heartbeats


@pytest.mark.parametrize(
    ("sent", "now", "may_begin", "may_take_over"),
    [
        ([], 0.0, False, False),
        ([0.0], 0.5, True, False),
        ([0.0, 1.0], 1.5, True, True),
        ([0.0, 1.0], 2.1, True, False),
        ([0.0, 1.0], 4.0, True, False),
        ([0.0, 1.0], 4.1, False, False),
        ([0.0, 1.0, 10.0], 10.0, True, False),
        ([0.0, 1.0, 10.0, 10.1], 10.1, True, False),
        ([0.0, 1.0, 10.0, 11.0], 11.0, True, True),
    ],
)
def test_what_heartbeats_allow(
    sent: list[float], now: float, *, may_begin: bool, may_take_over: bool
) -> None:
    """
    A process that hears nothing from the database begins nothing, and one that has just heard
    again takes nothing over.
    """
    heartbeats = beating(*sent)
    assert heartbeats.may_begin(now) is may_begin
    assert heartbeats.may_take_over(now) is may_take_over


def test_process_stops_before_others_take_over() -> None:
    """
    There is time between, for a heartbeat that takes long.
    """
    assert TAKE_OVER_SECONDS < MAY_BEGIN_SECONDS < DEAD_SECONDS


def test_leases_that_others_may_have_taken_over_are_not_held() -> None:
    """
    A process that was taken for dead holds only what it has leased since it learnt of it.
    """
    heartbeats = beating(0.0, 1.0)
    assert heartbeats.holds(1.0 + 45.0)

    heartbeats.got_through(20.0, 20.5, known=False)

    assert not heartbeats.holds(20.4 + 45.0)
    assert heartbeats.holds(20.6 + 45.0)


def test_late_heartbeat_loses_nothing_as_long_as_others_know_the_process() -> None:
    """
    What it holds nobody has taken over.
    """
    heartbeats = beating(0.0, 1.0, 30.0)
    assert heartbeats.holds(1.5 + 45.0)


def test_nobody_is_dead_right_after_a_step_of_the_clock() -> None:
    """
    Others have time to write what the clock shows now.
    """
    heartbeats = beating(0.0, 1.0)
    heartbeats.clock_stepped(1.5)
    for sent, expected in [(2.0, False), (4.0, False), (6.0, False), (7.0, True)]:
        heartbeats.got_through(sent, sent, known=True)
        assert heartbeats.may_take_over(sent) is expected
