"""
How the length of a lease, the deadline of an attempt and the queue of an endpoint depend on each
other. All spans are in seconds.

A claimed delivery waits in the queue of its endpoint at most for the horizon, then it is attempted
until the deadline, and then its result is written: all of that within its lease, or another
process would take the delivery over from a living one.
"""

from __future__ import annotations

LONGEST_HORIZON = 15.0
"""
A queue takes only what it can start within this time, or less where leases are short.
"""

SETTLING_SECONDS = 5.0
"""
What must be left of a lease beyond the deadline when a request is sent, for its result.
"""

LEAST_SLACK = 5.0
"""
By how much the horizon exceeds the deadline at least, so that what waits behind one attempt that
is running can still start.
"""


def least_lease(deadline: float) -> float:
    """
    Return the shortest lease that attempts with a *deadline* may have.
    """
    return _after_start(deadline) + deadline + LEAST_SLACK


def horizon(lease: float, deadline: float) -> float:
    """
    Return for how long a claimed delivery may wait in memory.
    """
    return min(lease - _after_start(deadline), LONGEST_HORIZON)


def _after_start(deadline: float) -> float:
    return deadline + SETTLING_SECONDS
