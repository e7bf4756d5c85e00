"""
Why a delivery waits, when it is attempted next and when it expires, as of the time at which its
row was read.

A row has neither while it is overdue: nothing is written when a breaker opens, and when nobody
claims. No I/O, no clock.
"""

from __future__ import annotations

from collections.abc import Mapping
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
    if row.failure_kind is not None and row.due_time >= row.expire_time:
        # The limits of its subscription have used up its time: it ends without another attempt.
        return WaitingTimes(None, row.expire_time)
    possible = [row.due_time, row.read_time, row.open_until]
    attempt = max(it for it in possible if it is not None)
    if row.state != State.PENDING:
        return WaitingTimes(attempt, row.expire_time)
    latest = max(row.create_time + LONGEST_LIFETIME, row.expire_time)
    return WaitingTimes(attempt, min(row.expire_time + (attempt - row.due_time), latest))


class Waiting(NamedTuple):
    """
    Why a delivery waits, until when, None where that cannot be foreseen, and both for people.
    """

    reason: WaitReason
    until: datetime | None
    text: str


def waiting(row: DeliveryRow) -> Waiting | None:
    """
    Return why a pending delivery waits; None for all others.

    The reason of the row is that of its last change. What came after that and wrote nothing goes
    before it: a breaker that has opened, and that the delivery has become due.
    """
    if row.state != State.PENDING:
        return None
    reason, until = _reason(row)
    if until is None:
        return Waiting(reason, None, _TEXTS[reason].format(row.resource))
    return Waiting(reason, until, f"{_TEXTS[reason]}, until {_shown(until)}")


def _reason(row: DeliveryRow) -> tuple[WaitReason, datetime | None]:
    if row.due_time is None:
        return WaitReason.ORDER, None
    if row.wait_reason in _SUSPENDED:
        return WaitReason(row.wait_reason), None
    if row.open_until is not None and row.open_until > max(row.due_time, row.read_time):
        return WaitReason.BREAKER, row.open_until
    if row.due_time <= row.read_time:
        throttled = row.wait_reason == WaitReason.THROTTLED
        return WaitReason.THROTTLED if throttled else WaitReason.BACKLOG, None
    own = WaitReason(row.wait_reason or WaitReason.SCHEDULE)
    return own if own in _TIMED else WaitReason.SCHEDULE, row.due_time


_TIMED = frozenset(
    {WaitReason.SCHEDULE, WaitReason.RETRY_AFTER, WaitReason.THROTTLED, WaitReason.BREAKER}
)

_TEXTS: Mapping[WaitReason, str] = {
    WaitReason.SCHEDULE: "it waits for the next attempt of its retry schedule",
    WaitReason.RETRY_AFTER: "its receiver has asked to wait",
    WaitReason.THROTTLED: "its subscription is over its limits",
    WaitReason.BREAKER: "its endpoint has failed too often, and requests to it pause",
    WaitReason.BACKLOG: "it is due, and waits for a free slot",
    WaitReason.ORDER: "an earlier delivery about {} has not ended",
    WaitReason.INACTIVE: "its subscription is Inactive",
    WaitReason.HELD: (
        "its subscription is held: the configuration lacks it without having deleted it, or it"
        " cannot be used"
    ),
}


def _shown(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M:%S} UTC"
