"""
How much of a process a caller, an account and all callers together may use, and the errors
that say so.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from service_runtime.rpc.errors import ResourceExhausted

MIB = 1024 * 1024

RETRY_AFTER = timedelta(seconds=1)
"""
How long a caller that used all it may is asked to wait, unless the limit says more.
"""

WHOLE_BATCH_BYTES = 4 * MIB
"""
What a message that is still being received is counted for: the largest batch of the contract.
"""


class Kind(StrEnum):
    """
    What a call uses as long as it is open. Text, since that is hashed in C.
    """

    CALL = "calls"
    WATCH = "watches"
    PUBLISH_STREAM = "publish streams"


@dataclass(frozen=True, slots=True)
class Limits:
    """
    The limits of one process. Those of events are per second, and 0 means none.
    """

    caller_calls: int = 1000
    caller_watches: int = 50
    caller_publish_streams: int = 16
    caller_bytes: int = 32 * MIB
    caller_events: int = 0
    account_calls: int = 1000
    account_watches: int = 100
    account_events: int = 0
    total_calls: int = 4000
    total_streams: int = 2000
    total_bytes: int = 256 * MIB

    def of_caller(self, kind: Kind) -> int:
        """
        Return how many of *kind* a caller may have open.
        """
        if kind is Kind.CALL:
            return self.caller_calls
        return self.caller_watches if kind is Kind.WATCH else self.caller_publish_streams

    def of_account(self, kind: Kind) -> int:
        """
        Return how many of *kind* may be open on one account or warehouse.
        """
        return self.account_watches if kind is Kind.WATCH else self.account_calls

    def of_all(self, kind: Kind) -> int:
        """
        Return how many of *kind* may be open in all; streams of both kinds count together.
        """
        return self.total_calls if kind is Kind.CALL else self.total_streams


class LimitReached(ResourceExhausted):
    """
    A limit is reached; the caller may try again after *retry_after*.
    """

    def __init__(
        self, what: str, limit: int, retry_after: timedelta = RETRY_AFTER, owner: str = ""
    ) -> None:
        seconds = f"{retry_after.total_seconds():g}"
        super().__init__(
            f"{owner or self.whose} may have {limit} {what}; try again in {seconds} s.",
            retry_after=retry_after,
            what=what,
            limit=str(limit),
        )
        if owner:
            self.metadata["owner"] = owner

    whose = "The service"


class CallerLimitReached(LimitReached):
    """
    The caller uses all that one caller may.
    """

    reason = "CALLER_LIMIT_REACHED"
    whose = "A caller"


class AccountLimitReached(LimitReached):
    """
    All callers together use what one account or warehouse may.
    """

    reason = "ACCOUNT_LIMIT_REACHED"
    whose = "An account or warehouse"


class ServiceLimitReached(LimitReached):
    """
    All callers together use what one process has.
    """

    reason = "SERVICE_LIMIT_REACHED"
