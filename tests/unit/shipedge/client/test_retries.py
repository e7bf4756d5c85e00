"""
Which errors are tried again, and when.
"""

from __future__ import annotations

import pytest

from shipedge.webhooks.client.errors import ApiError
from shipedge.webhooks.client.retries import is_retried, is_split, retry_delay


@pytest.mark.parametrize(
    ("code", "reason", "retried"),
    [
        ("UNAVAILABLE", "STORE_UNAVAILABLE", True),
        ("UNAVAILABLE", "", True),
        ("RESOURCE_EXHAUSTED", "BACKLOG_FULL", True),
        ("RESOURCE_EXHAUSTED", "MESSAGE_TOO_LARGE", False),
        ("DEADLINE_EXCEEDED", "", True),
        ("CANCELLED", "", True),
        ("UNKNOWN", "", True),
        ("INTERNAL", "INTERNAL_FAULT", True),
        ("INVALID_ARGUMENT", "EVENT_INVALID", False),
        ("ALREADY_EXISTS", "EVENT_ID_REUSED", False),
        ("PERMISSION_DENIED", "CALLER_FORBIDDEN", False),
        ("UNAUTHENTICATED", "CALLER_UNKNOWN", False),
        ("UNIMPLEMENTED", "", False),
    ],
)
def test_what_is_retried(code: str, reason: str, retried: bool) -> None:
    """
    Errors that the same event may not get next time are tried again.
    """
    assert is_retried(ApiError(code, "", reason=reason)) is retried


@pytest.mark.parametrize(
    ("reason", "events", "split"),
    [
        ("BATCH_INVALID", 2, True),
        ("BATCH_INVALID", 1, False),
        ("EVENT_INVALID", 2, False),
        ("MESSAGE_TOO_LARGE", 7, True),
    ],
)
def test_what_is_split(reason: str, events: int, split: bool) -> None:
    """
    Only a batch that is at fault as a whole is split, and only if it can be.
    """
    assert is_split(ApiError("INVALID_ARGUMENT", "", reason=reason), events) is split


@pytest.mark.parametrize(
    ("failures", "asked", "chance", "seconds"),
    [
        (1, None, 1.0, 0.1),
        (1, None, 0.0, 0.05),
        (2, None, 1.0, 0.2),
        (3, None, 0.5, 0.3),
        (7, None, 1.0, 5.0),
        (7, None, 0.0, 2.5),
        (100_000, None, 1.0, 5.0),
        (1, 3.0, 1.0, 3.0),
        (7, 0.01, 1.0, 5.0),
    ],
)
def test_delays(failures: int, asked: float | None, chance: float, seconds: float) -> None:
    """
    Delays double up to five seconds, are spread, and are never below what was asked for.
    """
    assert retry_delay(failures, asked, chance) == pytest.approx(seconds)
