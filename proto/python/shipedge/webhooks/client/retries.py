"""
Which errors of publishing are tried again, and after which time.
"""

from __future__ import annotations

from shipedge.webhooks.client.errors import ApiError

FIRST_DELAY_SECONDS = 0.1
LONGEST_DELAY_SECONDS = 5.0

_RETRIED = frozenset(
    {
        "ABORTED",
        "CANCELLED",
        "DEADLINE_EXCEEDED",
        "INTERNAL",
        "RESOURCE_EXHAUSTED",
        "UNAVAILABLE",
        "UNKNOWN",
    }
)
_MOST_DOUBLINGS = 16


def is_retried(error: ApiError) -> bool:
    """
    Tell whether the same events may be accepted later. They are published again under their ids,
    so a lost answer costs nothing.
    """
    return error.code in _RETRIED and error.reason != "MESSAGE_TOO_LARGE"


def is_split(error: ApiError, events: int) -> bool:
    """
    Tell whether a batch of so many *events* is at fault as a whole, so that smaller ones show
    which event it is.
    """
    return events > 1 and (error.reason in {"BATCH_INVALID", "MESSAGE_TOO_LARGE"})


def retry_delay(failures: int, asked: float | None, chance: float) -> float:
    """
    Return how long to wait after so many *failures* in a row, in seconds: twice as long each
    time, between the half and the whole by *chance* (0 to 1), and no less than was *asked* for.
    """
    doubled: float = FIRST_DELAY_SECONDS * 2 ** min(failures - 1, _MOST_DOUBLINGS)
    delay = min(doubled, LONGEST_DELAY_SECONDS) * (0.5 + chance / 2)
    return max(delay, asked or 0.0)
