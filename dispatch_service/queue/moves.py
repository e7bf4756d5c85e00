"""
The moves of a delivery: which states each leads from and to, and the values that it gives to
columns. `docs/delivery_states.md` draws them. Those of leases are here, those of waiting
deliveries in `waiting_moves`.

The statements of both queues and the updates of other rooms take their values from here, so
each rule about a column is written once. The expressions are explained in `dialects`.
"""

from __future__ import annotations

from collections.abc import Mapping

from dispatch_service.domain.transitions import State
from dispatch_service.queue.expire_times import OVERDUE_ADDED, put_off, unless_ended
from dispatch_service.queue.move import SUSPENDED_FOR, Move
from dispatch_service.queue.waiting_moves import (
    CANCEL,
    CANCEL_DELETED,
    CANCEL_LATER,
    DROP_RESEND,
    EXPIRE,
    LEAVE_SEQUENCE,
    RESEND,
    RESUME,
    SUSPEND_WAITING,
    UNBLOCK,
)

PENDING, DELIVERING, SUCCEEDED, FAILED, CANCELLED = State

INSERT = Move(
    "insert",
    {None: {DELIVERING, PENDING, FAILED}},
    {
        "state": """CASE WHEN $failure_kind IS NOT NULL THEN 'FAILED'
             WHEN $leased THEN 'DELIVERING' ELSE 'PENDING' END""",
        "due_time": """CASE WHEN $failure_kind IS NULL AND NOT $blocked THEN
             {now + CASE WHEN $leased THEN $lease_us ELSE 0 END} END""",
        "expire_time": "{now + $lifetime_us}",
        "end_time": "CASE WHEN $failure_kind IS NOT NULL THEN {now} END",
        "wait_reason": """CASE WHEN $failure_kind IS NOT NULL OR $leased THEN NULL
             WHEN $blocked THEN 'order' ELSE 'backlog' END""",
        "lease_owner": "CASE WHEN $leased THEN $lease_owner END",
        "lease_token": "CASE WHEN $leased THEN 1 ELSE 0 END",
        "attempt_count": "CASE WHEN $leased THEN 1 ELSE 0 END",
        "retries_used": "0",
        "interrupted": "0",
    },
)
"""
Store a new delivery. One that is dispatched directly has its first lease.
"""

# The reason why a delivery waits after its lease: it has none if it has ended.
_IF_WAITING = "CASE WHEN @end_time IS NULL AND @cancelled_by IS NULL THEN {} END"

# What is claimed late, and what was leased for nothing, has lost no time.
_CLAIMED_LATE = (
    "({now + CASE WHEN @lease_owner IS NULL THEN 0 ELSE $lease_us END}"
    " + (@expire_time - @due_time))"
)

_LEFT = "{now + $time_left_us}"

CLAIM = Move(
    "claim",
    {PENDING: {DELIVERING}, DELIVERING: {DELIVERING}, SUCCEEDED: {SUCCEEDED}},
    {
        "state": "CASE WHEN @end_time IS NULL THEN 'DELIVERING' ELSE @state END",
        "lease_owner": "$lease_owner",
        "lease_token": "@lease_token + 1",
        "due_time": "{now + $lease_us}",
        "expire_time": unless_ended(put_off(_CLAIMED_LATE)),
        "wait_reason": "NULL",
        "attempt_count": "@attempt_count + 1",
        "interrupted": "@interrupted + CASE WHEN @lease_owner IS NULL THEN 0 ELSE 1 END",
        "next_trigger": "CASE WHEN @lease_owner IS NULL THEN @next_trigger ELSE 'RETRY' END",
    },
)
"""
Lease a delivery that is due. A lease that is still there has expired: its attempt was
interrupted. A forced resend stays SUCCEEDED.
"""

SETTLE = Move(
    "settle",
    {DELIVERING: {SUCCEEDED, PENDING, FAILED, CANCELLED}, SUCCEEDED: {SUCCEEDED}},
    {
        # A delivery that had ended is a forced resend: it stays SUCCEEDED.
        # One that was cancelled during its attempt has no next attempt.
        "state": """CASE WHEN @end_time IS NOT NULL THEN @state
                 WHEN $delay_us IS NOT NULL AND @cancelled_by IS NOT NULL
                 THEN 'CANCELLED' ELSE $state END""",
        "due_time": "CASE WHEN @cancelled_by IS NULL THEN {now + $delay_us} END",
        "end_time": """CASE WHEN $delay_us IS NULL OR @cancelled_by IS NOT NULL
                    THEN coalesce(@end_time, {now}) END""",
        "expire_time": f"""CASE WHEN $time_left_us IS NULL THEN @expire_time
                    ELSE {put_off(_LEFT)} END""",
        "wait_reason": _IF_WAITING.format("$wait_reason"),
        "lease_owner": "NULL",
        "retries_used": "$retries_used",
        "interrupted": "CASE WHEN $attempted THEN 0 ELSE @interrupted END",
        "attempt_count": "@attempt_count - CASE WHEN $attempted THEN 0 ELSE 1 END",
        "next_trigger": "'RETRY'",
        "failure_kind": "CASE WHEN @end_time IS NULL THEN $failure_kind END",
        "response_code": "$response_code",
    },
)
"""
End a lease with a result: what `deliveries.decide` chose after an attempt, or what is known
without one. `delay_us` is NULL where there is no next attempt.
"""

CONFIRM = Move(
    "confirm",
    {PENDING: {SUCCEEDED}, DELIVERING: {SUCCEEDED}, FAILED: {SUCCEEDED}},
    {
        "state": "'SUCCEEDED'",
        "end_time": "{now}",
        "wait_reason": "NULL",
        # Where another process attempts it, its lease ends like that of a cancelled delivery.
        "due_time": "CASE WHEN @lease_owner IS NOT NULL THEN @due_time END",
        "cancelled_by": """CASE WHEN @lease_owner IS NULL THEN @cancelled_by
                        ELSE coalesce(@cancelled_by, 'late confirmation') END""",
        "failure_kind": "NULL",
        "response_code": "$response_code",
    },
)
"""
End a delivery that the receiver confirmed in an attempt whose lease was lost. One that was
cancelled stays so.
"""

_RELEASED = {
    "state": """CASE WHEN @end_time IS NOT NULL THEN @state
                 WHEN @cancelled_by IS NOT NULL THEN 'CANCELLED' ELSE 'PENDING' END""",
    "end_time": """CASE WHEN @cancelled_by IS NULL THEN @end_time
                    ELSE coalesce(@end_time, {now}) END""",
    "lease_owner": "NULL",
    "attempt_count": "@attempt_count - 1",
}

REQUEUE = Move(
    "requeue",
    {DELIVERING: {PENDING, CANCELLED}, SUCCEEDED: {SUCCEEDED}},
    {
        **_RELEASED,
        "due_time": "CASE WHEN @cancelled_by IS NULL THEN {now + $delay_us} END",
        "expire_time": unless_ended(put_off(_LEFT)),
        "wait_reason": _IF_WAITING.format("$wait_reason"),
    },
)
"""
Release a lease as if the attempt had not started; the delivery is due after a delay.
"""

_LEFT_AFTER_HOLD = "{now + ($time_left_us + $hold_us)}"

SUSPEND = Move(
    "suspend",
    {DELIVERING: {PENDING, CANCELLED}, SUCCEEDED: {SUCCEEDED}},
    {
        **_RELEASED,
        "due_time": f"""CASE WHEN @cancelled_by IS NOT NULL OR @end_time IS NOT NULL THEN NULL
                    WHEN $hold_us IS NULL THEN {put_off(_LEFT)}
                    ELSE {{now + $hold_us}} END""",
        # A hold is added as a whole, beyond any limit, since what is not over is taken back.
        "expire_time": unless_ended(
            f"CASE WHEN $hold_us IS NULL THEN {put_off(_LEFT)} ELSE {_LEFT_AFTER_HOLD} END"
        ),
        "wait_reason": _IF_WAITING.format(SUSPENDED_FOR),
    },
)
"""
Release the lease of a delivery whose subscription is Inactive, or held. A forced resend is
dropped: it has ended, so it cannot expire.
"""

END_LEASE = Move(
    "end_lease",
    {DELIVERING: {DELIVERING}, SUCCEEDED: {SUCCEEDED}},
    {"due_time": "{now}", "expire_time": unless_ended(put_off(f"({OVERDUE_ADDED})"))},
)
"""
Let a lease expire at the start of the only process: nobody holds it any more.
"""

MOVES: Mapping[str, Move] = {
    move.name: move
    for move in (
        INSERT,
        CLAIM,
        SETTLE,
        CONFIRM,
        REQUEUE,
        SUSPEND,
        SUSPEND_WAITING,
        RESUME,
        UNBLOCK,
        LEAVE_SEQUENCE,
        CANCEL,
        CANCEL_LATER,
        CANCEL_DELETED,
        EXPIRE,
        DROP_RESEND,
        RESEND,
        END_LEASE,
    )
}
