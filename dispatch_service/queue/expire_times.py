"""
The expressions that put off the time at which a delivery expires.

Only time that its receiver, or the limits and the state of its subscription, have used up counts.
A delivery that is claimed later than it was due has waited for us, or for the breaker of its
endpoint: the time between is added. So is the time that it was leased for.

A row has expired when it is due no earlier than it expires, whatever the clock says.
"""

from __future__ import annotations

from dispatch_service.domain.transitions import LONGEST_LIFETIME
from service_runtime.database.instants import micros

_LAST = f"{{@create_time + {micros(LONGEST_LIFETIME)}}}"

USED_UP = """@end_time IS NULL AND @lease_owner IS NULL AND @expire_time <= @due_time
    AND (@retries_used > 0 OR coalesce(@wait_reason, '') = 'inactive')"""
"""
The condition of a due delivery that ends without a request.
"""

OVERDUE_ADDED = "@expire_time + ({now} - @due_time)"
"""
The time with the lateness of a row that is claimed or ended now.
"""

ANEW = "{now} + (@expire_time - @create_time)"
"""
The time of a row that was blocked until now, if it begins its lifetime anew.
"""


def put_off(instant: str) -> str:
    """
    Return the later time *instant*, but at most 40 days after acceptance. A resend may have
    set one that is later, which stays.
    """
    return (
        f"CASE WHEN {instant} <= {_LAST} THEN {instant}"
        f" WHEN @expire_time > {_LAST} THEN @expire_time ELSE {_LAST} END"
    )


def unless_ended(instant: str) -> str:
    """
    Return *instant* for a delivery that has not ended. A forced resend has.
    """
    return f"CASE WHEN @end_time IS NOT NULL THEN @expire_time ELSE {instant} END"


WAITED = f"""CASE WHEN @wait_reason = 'held'
                   OR @due_time < {{now}} AND coalesce(@wait_reason, '') <> 'inactive'
             THEN {OVERDUE_ADDED} ELSE @expire_time END"""
"""
The time of a waiting row with its lateness. One that is held was put off until its due time.
"""

SUSPENDED = f"""CASE WHEN @due_time IS NULL THEN @expire_time
             ELSE {WAITED} + ({{now + coalesce($hold_us, 0)}} - {{now}}) END"""
"""
The time of a waiting row that is suspended now: time while it is held does not count.
"""

RESUMED = f"CASE WHEN @wait_reason = 'held' THEN {OVERDUE_ADDED} ELSE @expire_time END"
"""
The time of a waiting row that is resumed now: the rest of its hold is taken back.
"""
