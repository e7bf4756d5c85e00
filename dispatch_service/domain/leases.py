"""
How the length of a lease, the deadline of an attempt and the queue of an endpoint depend on each
other. All spans are in seconds.

A claimed delivery waits in the queue of its endpoint at most for the horizon, then it is attempted
until the deadline, and then its result is written: all of that within its lease, or another
process would take the delivery over from a living one.

A process that shares its database holds its leases only as long as its heartbeats get through:
otherwise others take it for dead, and what it held over.
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


MAY_BEGIN_SECONDS = 3.0
"""
A process begins no request once its last heartbeat was sent longer ago.
"""

DEAD_SECONDS = 5.0
"""
A process is dead from whose last heartbeat on so much time has passed.
"""

TAKE_OVER_SECONDS = 1.0
"""
A process takes nothing over once its last heartbeat was sent longer ago.
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


class Heartbeats:
    """
    What the heartbeats of a process allow it; its leases last *lease* seconds. All times are of
    the monotonic clock.
    """

    __slots__ = ("_lease", "_sent", "_take_over_from", "_void_until")

    def __init__(self, lease: float) -> None:
        self._lease = lease
        self._sent = float("-inf")
        self._void_until = float("-inf")
        self._take_over_from = float("-inf")

    def got_through(self, sent: float, now: float, *, known: bool) -> None:
        """
        Note a heartbeat that was *sent* at a time and has got through *now*. It was not *known* if
        others had taken the process for dead, or if it is the first one.

        A process whose heartbeats did not get through takes over nothing until the next one: those
        of others may not have got through either. One that has just started need not wait.
        """
        if not known:
            self._void_until = now + self._lease
        if self._sent == float("-inf"):
            self._take_over_from = max(self._take_over_from, now)
        elif now - self._sent > MAY_BEGIN_SECONDS:
            self._take_over_from = max(self._take_over_from, now + TAKE_OVER_SECONDS / 2)
        self._sent = sent

    def clock_stepped(self, now: float) -> None:
        """
        Note that the database's clock has stepped *now*: heartbeats of before look old or new.
        """
        self._take_over_from = now + DEAD_SECONDS

    def may_begin(self, now: float) -> bool:
        """
        Tell whether a request may begin.
        """
        return now - self._sent <= MAY_BEGIN_SECONDS

    def may_take_over(self, now: float) -> bool:
        """
        Tell whether others may be taken for dead.
        """
        return self._sent > self._take_over_from and now - self._sent <= TAKE_OVER_SECONDS

    def holds(self, lease_end: float) -> bool:
        """
        Tell whether a lease that ends at a time is still held, or may have been taken over.
        """
        return lease_end > self._void_until
