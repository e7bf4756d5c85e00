"""
The moves of deliveries that nobody holds: what callers, owners and sequences do to them. All but
CANCEL_LATER change rows without a lease.
"""

from __future__ import annotations

from dispatch_service.domain.transitions import State
from dispatch_service.queue.expire_times import ANEW, RESUMED, SUSPENDED, WAITED, put_off
from dispatch_service.queue.move import SUSPENDED_FOR, Move

PENDING, DELIVERING, SUCCEEDED, FAILED, CANCELLED = State

# A move to another endpoint goes with these two: `endpoint` is NULL where it stays.
_MOVED = {"endpoint": "coalesce($endpoint, @endpoint)"}

SUSPEND_WAITING = Move(
    "suspend_waiting",
    {PENDING: {PENDING}},
    # A delivery without a due time is blocked in its sequence, and stays so.
    {
        "due_time": f"""CASE WHEN @due_time IS NULL THEN NULL
                    WHEN $hold_us IS NULL THEN {SUSPENDED} ELSE {{now + $hold_us}} END""",
        "expire_time": SUSPENDED,
        "wait_reason": f"CASE WHEN @due_time IS NULL THEN @wait_reason ELSE {SUSPENDED_FOR} END",
        **_MOVED,
    },
)
"""
Suspend a waiting delivery whose subscription became Inactive, or is held for `hold_us`.
"""

_IS_SUSPENDED = "@wait_reason IN ('inactive', 'held')"

RESUME = Move(
    "resume",
    {PENDING: {PENDING}},
    {
        "due_time": f"CASE WHEN {_IS_SUSPENDED} THEN {{now}} ELSE @due_time END",
        "expire_time": RESUMED,
        "wait_reason": f"CASE WHEN {_IS_SUSPENDED} THEN 'backlog' ELSE @wait_reason END",
        **_MOVED,
    },
)
"""
Make a suspended delivery due, since its subscription became Active, or is back.
"""

UNBLOCK = Move(
    "unblock",
    {PENDING: {PENDING}},
    {
        "due_time": "{now}",
        "expire_time": f"CASE WHEN $anew THEN {put_off(ANEW)} ELSE @expire_time END",
        "wait_reason": "'backlog'",
    },
)
"""
Make a delivery due that became the head of its sequence, in the transaction that ended the
head before it. Its lifetime begins *anew* unless that one failed: then their receiver has used
up the time of both.
"""

LEAVE_SEQUENCE = Move(
    "leave_sequence",
    {PENDING: {PENDING}, DELIVERING: {DELIVERING}},
    {
        "due_time": "coalesce(@due_time, {now})",
        "expire_time": f"CASE WHEN @due_time IS NULL THEN {put_off(ANEW)} ELSE @expire_time END",
        "wait_reason": "CASE WHEN @due_time IS NULL THEN 'backlog' ELSE @wait_reason END",
        "sequence_position": "NULL",
    },
)
"""
Take a delivery out of its sequence, since its subscription is no longer ordered, or deleted.
"""

_CANCELLED = {
    "state": "'CANCELLED'",
    "end_time": "{now}",
    "due_time": "NULL",
    "wait_reason": "NULL",
}

CANCEL = Move("cancel", {PENDING: {CANCELLED}}, {**_CANCELLED, "cancelled_by": "$cancelled_by"})
"""
Cancel a waiting delivery, by CancelDelivery or by the erasure of its event.
"""

CANCEL_LATER = Move(
    "cancel_later",
    {DELIVERING: {DELIVERING}, SUCCEEDED: {SUCCEEDED}},
    {"cancelled_by": "$cancelled_by"},
)
"""
Record that a leased delivery is cancelled: its attempt is not interrupted, and the end of the
lease cancels the delivery unless the attempt succeeded.
"""

CANCEL_DELETED = Move(
    "cancel_deleted", {PENDING: {CANCELLED}}, {**_CANCELLED, "failure_kind": "$failure_kind"}
)
"""
Cancel a waiting delivery whose subscription was deleted, was missing for too long, or has been
Inactive until it expired.
"""

EXPIRE = Move(
    "expire",
    {PENDING: {FAILED}},
    {
        "state": "'FAILED'",
        "end_time": "{now}",
        "due_time": "NULL",
        "wait_reason": "NULL",
        "failure_kind": "$failure_kind",
        "response_code": """CASE WHEN $failure_kind = 'expired' THEN @response_code
                         ELSE $response_code END""",
    },
)
"""
Give up a waiting delivery whose endpoint is open: its receiver has used up its time, or the
endpoint is dead, and the last probe of it stands as the attempt of this one.
"""

DROP_RESEND = Move("drop_resend", {SUCCEEDED: {SUCCEEDED}}, {"due_time": "NULL"})
"""
Drop a forced resend whose event is erased.
"""


def _if_given_up(new: str, old: str) -> str:
    return f"CASE WHEN @state IN ('FAILED', 'CANCELLED') THEN {new} ELSE {old} END"


RESEND = Move(
    "resend",
    {
        FAILED: {PENDING},
        CANCELLED: {PENDING},
        PENDING: {PENDING},
        SUCCEEDED: {SUCCEEDED},
    },
    {
        "state": _if_given_up("'PENDING'", "@state"),
        "due_time": "{now}",
        "wait_reason": "CASE WHEN @state = 'SUCCEEDED' THEN NULL ELSE 'backlog' END",
        "next_trigger": "'RESEND'",
        "requested_by": "$requested_by",
        # Cancelling an attempt that succeeded nevertheless does not cancel this one.
        "cancelled_by": "NULL",
        # A pending delivery gets back the delay that it was waiting out.
        "retries_used": _if_given_up(
            "0", "CASE WHEN @retries_used > 0 THEN @retries_used - 1 ELSE 0 END"
        ),
        "interrupted": _if_given_up("0", "@interrupted"),
        "expire_time": _if_given_up("{now + $lifetime_us}", WAITED),
        **{
            name: _if_given_up("NULL", f"@{name}")
            for name in ("end_time", "failure_kind", "response_code", "sequence_position")
        },
    },
)
"""
Make a delivery due that is not leased. One that failed or was cancelled begins anew, outside
its sequence.
"""
