"""
A lease covers the wait in memory, the attempt and its result.
"""

from __future__ import annotations

import pytest

from dispatch_service.domain.leases import (
    LONGEST_HORIZON,
    SETTLING_SECONDS,
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
