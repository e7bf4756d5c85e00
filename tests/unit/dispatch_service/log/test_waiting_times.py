"""
The times of a delivery are true when they are shown.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from dispatch_service.log.waiting_times import waiting, waiting_times
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

LIMITED = {
    "due_time": NOW + 2 * HOUR,
    "expire_time": NOW + HOUR,
    "failure_kind": "timeout",
    "wait_reason": "throttled",
}

# What is read, how long until the next attempt, and until it expires.
CASES: list[tuple[dict[str, Any], timedelta | None, timedelta]] = [
    ({}, MINUTE, MINUTE + HOUR),
    (LATE, timedelta(), HOUR),
    ({"open_until": NOW + 5 * MINUTE}, 5 * MINUTE, 5 * MINUTE + HOUR),
    ({"open_until": NOW + timedelta(seconds=1)}, MINUTE, MINUTE + HOUR),
    (LATE | {"open_until": NOW + 5 * MINUTE}, 5 * MINUTE, 5 * MINUTE + HOUR),
    (LATE | {"create_time": NOW - 40 * DAY}, timedelta(), timedelta()),
    (LIMITED, None, HOUR),
    (LIMITED | {"failure_kind": None}, 2 * HOUR, HOUR),
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


OPEN = {"open_until": NOW + 5 * MINUTE}

# What is read, why it waits, and how long still.
REASONS: list[tuple[dict[str, Any], str, timedelta | None]] = [
    ({}, "SCHEDULE", MINUTE),
    ({"wait_reason": "retry_after"}, "RETRY_AFTER", MINUTE),
    ({"wait_reason": "throttled"}, "THROTTLED", MINUTE),
    ({"wait_reason": "breaker"}, "BREAKER", MINUTE),
    ({"wait_reason": None}, "SCHEDULE", MINUTE),
    ({"wait_reason": "backlog"}, "SCHEDULE", MINUTE),
    (OPEN, "BREAKER", 5 * MINUTE),
    (LATE | OPEN, "BREAKER", 5 * MINUTE),
    (OPEN | {"due_time": NOW + HOUR}, "SCHEDULE", HOUR),
    (LATE | {"open_until": NOW - MINUTE}, "BACKLOG", None),
    (LATE, "BACKLOG", None),
    ({"due_time": NOW}, "BACKLOG", None),
    (LATE | {"wait_reason": "throttled"}, "THROTTLED", None),
    (LATE | {"wait_reason": "breaker"}, "BACKLOG", None),
    ({"due_time": None, "wait_reason": "order"}, "ORDER", None),
    (OPEN | {"due_time": None, "wait_reason": "inactive"}, "ORDER", None),
    (OPEN | {"wait_reason": "inactive"}, "INACTIVE", None),
    (LATE | {"wait_reason": "held"}, "HELD", None),
]


@pytest.mark.parametrize(("read", "reason", "rest"), REASONS)
def test_why_it_waits(read: dict[str, Any], reason: str, rest: timedelta | None) -> None:
    """
    The reason is what keeps the delivery back now, and its end is where it is known, for people
    too.
    """
    found = waiting(row(resource="orders/7", **read))

    assert found is not None
    assert found.reason.name == reason
    assert found.until == (None if rest is None else NOW + rest)
    assert found.text.endswith(" UTC") == (rest is not None)
    assert "{" not in found.text


@pytest.mark.parametrize("state", ["DELIVERING", "SUCCEEDED", "FAILED", "CANCELLED"])
def test_what_does_not_wait(state: str) -> None:
    """
    Only a pending delivery waits.
    """
    assert waiting(row(state=state)) is None


def test_order_names_what_it_is_about() -> None:
    """
    What waits for an earlier delivery says for which.
    """
    found = waiting(row(resource="orders/7", due_time=None))

    assert found is not None
    assert found.text == "an earlier delivery about orders/7 has not ended"
