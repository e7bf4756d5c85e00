"""
The times of a delivery are true when they are shown.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from dispatch_service.log.waiting_times import waiting_times
from dispatch_service.storage.rows import DeliveryRow
from tests.support.dispatch_factories import NOW

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def row(**over: Any) -> DeliveryRow:
    """
    Make a delivery that waits for a minute still, and expires an hour later.
    """
    values: dict[str, Any] = dict.fromkeys(DeliveryRow.__struct_fields__)
    values |= {
        "state": "PENDING",
        "wait_reason": "schedule",
        "create_time": NOW - DAY,
        "due_time": NOW + MINUTE,
        "expire_time": NOW + MINUTE + HOUR,
        "read_time": NOW,
    }
    return DeliveryRow(**(values | over))


LATE = {"due_time": NOW - 2 * HOUR, "expire_time": NOW - HOUR}

# What is read, how long until the next attempt, and until it expires.
CASES: list[tuple[dict[str, Any], timedelta | None, timedelta]] = [
    ({}, MINUTE, MINUTE + HOUR),
    (LATE, timedelta(), HOUR),
    ({"open_until": NOW + 5 * MINUTE}, 5 * MINUTE, 5 * MINUTE + HOUR),
    ({"open_until": NOW + timedelta(seconds=1)}, MINUTE, MINUTE + HOUR),
    (LATE | {"open_until": NOW + 5 * MINUTE}, 5 * MINUTE, 5 * MINUTE + HOUR),
    (LATE | {"create_time": NOW - 40 * DAY}, timedelta(), timedelta()),
    ({"due_time": None, "wait_reason": "order"}, None, MINUTE + HOUR),
    ({"due_time": NOW + HOUR, "expire_time": NOW + HOUR, "wait_reason": "inactive"}, None, HOUR),
    ({"wait_reason": "held"}, None, HOUR),
    ({"wait_reason": "held", "due_time": NOW + 9 * DAY, "expire_time": NOW + 10 * DAY}, None, DAY),
    ({"state": "DELIVERING", "wait_reason": None, "lease_owner": "one"}, None, MINUTE + HOUR),
    ({"state": "FAILED", "wait_reason": None, "due_time": None}, None, MINUTE + HOUR),
    ({"state": "SUCCEEDED", "wait_reason": None}, MINUTE, MINUTE + HOUR),
]


@pytest.mark.parametrize(("read", "attempt", "expires"), CASES)
def test_times_are_true(
    read: dict[str, Any], attempt: timedelta | None, expires: timedelta
) -> None:
    """
    No time lies in the past that is still to come, and none comes that is shown too early.
    """
    times = waiting_times(row(**read))

    assert times.next_attempt == (None if attempt is None else NOW + attempt)
    assert times.expire == NOW + expires
