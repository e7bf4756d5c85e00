"""
Which events a request for a replay chooses.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dispatch_service.resend.replays import Span, chosen_span
from service_runtime.rpc.errors import InvalidArgument

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def chosen(**over: Any) -> Span:
    """
    Choose as a request with some fields set.
    """
    values: dict[str, Any] = {"start": None, "end": None, "kinds": (), "wanted": ()}
    return chosen_span(**(values | over), now=NOW)


@pytest.mark.parametrize(
    ("over", "span"),
    [
        ({}, Span(NOW - 7 * DAY, NOW)),
        ({"start": NOW - 30 * DAY}, Span(NOW - 30 * DAY, NOW)),
        ({"end": NOW - DAY}, Span(NOW - 8 * DAY, NOW - DAY)),
        ({"start": NOW - DAY, "end": NOW + DAY}, Span(NOW - DAY, NOW)),
        ({"kinds": ["order_updated"]}, Span(NOW - 7 * DAY, NOW, ("order_updated",))),
        (
            {"wanted": ["accounts/7/events/e1", "accounts/7/events/e1"]},
            Span(NOW - 7 * DAY, NOW, (), ((7, "e1"),)),
        ),
    ],
)
def test_chooses(over: dict[str, Any], span: Span) -> None:
    """
    What a request leaves open has a default, and no span ends later than now.
    """
    assert chosen(**over) == span


@pytest.mark.parametrize(
    ("over", "field"),
    [
        ({"start": NOW}, "accept_start_time"),
        ({"start": NOW - HOUR, "end": NOW - DAY}, "accept_start_time"),
        ({"kinds": ["order_updated", "orders/shipped"]}, "kinds[1]"),
        ({"wanted": ["accounts/7/events/"]}, "names[0]"),
        ({"wanted": ["warehouses/w1/events/e1"]}, "names[0]"),
        ({"wanted": ["accounts/7/events/e1"] * 1001}, "names"),
        ({"wanted": ["accounts/7/events/e1"], "start": NOW - DAY}, "accept_start_time"),
        ({"wanted": ["accounts/7/events/e1"], "end": NOW}, "accept_end_time"),
    ],
)
def test_refuses(over: dict[str, Any], field: str) -> None:
    """
    A request that cannot be meant is refused with the field.
    """
    with pytest.raises(InvalidArgument) as raised:
        chosen(**over)

    assert raised.value.faults[0].field == field
