"""
The moves of a delivery: which states each leads from and to, and the values that it gives to
columns. `docs/delivery_states.md` draws them.

The statements of both queues and the updates of other rooms take their values from here, so
each rule about a column is written once. The expressions are explained in `dialects`.
"""

from __future__ import annotations

from collections.abc import Mapping

from dispatch_service.domain.transitions import State
from dispatch_service.queue.move import Move

PENDING, DELIVERING, SUCCEEDED, FAILED, CANCELLED = State

INSERT = Move(
    "insert",
    {None: {DELIVERING, PENDING, FAILED}},
    {
        "state": """CASE WHEN $failure_kind IS NOT NULL THEN 'FAILED'
             WHEN $leased THEN 'DELIVERING' ELSE 'PENDING' END""",
        "due_time": """CASE WHEN $failure_kind IS NULL AND NOT $blocked THEN
             {now + CASE WHEN $leased THEN $lease_us ELSE 0 END} END""",
        "expire_time": "{$accept_time + $lifetime_us}",
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

CLAIM = Move(
    "claim",
    {PENDING: {DELIVERING}, DELIVERING: {DELIVERING}, SUCCEEDED: {SUCCEEDED}},
    {
        "state": "CASE WHEN @end_time IS NULL THEN 'DELIVERING' ELSE @state END",
        "lease_owner": "$lease_owner",
        "lease_token": "@lease_token + 1",
        "due_time": "{now + $lease_us}",
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
        "wait_reason": _IF_WAITING.format("$wait_reason"),
    },
)
"""
Release a lease as if the attempt had not started; the delivery is due after a delay.
"""

SUSPEND = Move(
    "suspend",
    {DELIVERING: {PENDING, CANCELLED}, SUCCEEDED: {SUCCEEDED}},
    {
        **_RELEASED,
        "due_time": "CASE WHEN @cancelled_by IS NULL AND @end_time IS NULL THEN @expire_time END",
        "wait_reason": _IF_WAITING.format("'inactive'"),
    },
)
"""
Release the lease of a delivery whose subscription is Inactive. A forced resend is dropped: it
has ended, so it cannot expire.
"""

# A move to another endpoint goes with these two: `endpoint` is NULL where it stays.
_MOVED = {"endpoint": "coalesce($endpoint, @endpoint)"}

SUSPEND_WAITING = Move(
    "suspend_waiting",
    {PENDING: {PENDING}},
    # A delivery without a due time is blocked in its sequence, and stays so.
    {
        "due_time": "CASE WHEN @due_time IS NOT NULL THEN @expire_time END",
        "wait_reason": "CASE WHEN @due_time IS NOT NULL THEN 'inactive' ELSE @wait_reason END",
        **_MOVED,
    },
)
"""
Suspend a waiting delivery whose subscription became Inactive.
"""

RESUME = Move(
    "resume",
    {PENDING: {PENDING}},
    {
        "due_time": "CASE WHEN @wait_reason = 'inactive' THEN {now} ELSE @due_time END",
        "wait_reason": "CASE WHEN @wait_reason = 'inactive' THEN 'backlog' ELSE @wait_reason END",
        **_MOVED,
    },
)
"""
Make a suspended delivery due, since its subscription became Active.
"""

UNBLOCK = Move("unblock", {PENDING: {PENDING}}, {"due_time": "{now}", "wait_reason": "'backlog'"})
"""
Make a delivery due that became the head of its sequence, in the transaction that ended the
head before it.
"""

LEAVE_SEQUENCE = Move(
    "leave_sequence",
    {PENDING: {PENDING}, DELIVERING: {DELIVERING}},
    {
        "due_time": "coalesce(@due_time, {now})",
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
Cancel a waiting delivery whose subscription was deleted, or missing for too long.
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
        "expire_time": _if_given_up("{now + $lifetime_us}", "@expire_time"),
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

END_LEASE = Move(
    "end_lease", {DELIVERING: {DELIVERING}, SUCCEEDED: {SUCCEEDED}}, {"due_time": "{now}"}
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
        DROP_RESEND,
        RESEND,
        END_LEASE,
    )
}
