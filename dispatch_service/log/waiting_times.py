"""
When a delivery is attempted next and when it expires, as of the time at which its row was read.

A row has neither while it is overdue: nothing is written when a breaker opens, and when nobody
claims. No I/O, no clock.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from dispatch_service.domain.transitions import LONGEST_LIFETIME, State, WaitReason
from dispatch_service.storage.rows import DeliveryRow

_SUSPENDED = frozenset({WaitReason.INACTIVE, WaitReason.HELD})


class WaitingTimes(NamedTuple):
    """
    The earliest time of the next attempt, None if there is none to be foreseen, and the time to
    expire if that attempt comes then.
    """

    next_attempt: datetime | None
    expire: datetime


def waiting_times(row: DeliveryRow) -> WaitingTimes:
    """
    Return the times of a delivery. The due time of a leased one is the end of its lease, that of
    a suspended one the end of its suspension: neither is the time of an attempt.
    """
    if row.due_time is None or row.lease_owner is not None or row.wait_reason in _SUSPENDED:
        # A hold was added as a whole; what is not over of it is taken back when it ends.
        rest = timedelta()
        if row.wait_reason == WaitReason.HELD and row.due_time is not None:
            rest = row.due_time - row.read_time
        return WaitingTimes(None, row.expire_time - rest)
    possible = [row.due_time, row.read_time, row.open_until]
    attempt = max(it for it in possible if it is not None)
    if row.state != State.PENDING:
        return WaitingTimes(attempt, row.expire_time)
    latest = max(row.create_time + LONGEST_LIFETIME, row.expire_time)
    return WaitingTimes(attempt, min(row.expire_time + (attempt - row.due_time), latest))
