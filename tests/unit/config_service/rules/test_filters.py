"""
What the filter of a subscription may be.
"""

from __future__ import annotations

from typing import Any

import pytest

from config_service.rules.filters import filter_faults, normalised_filter
from shipedge.webhooks.catalogue import CATALOGUE
from shipedge.webhooks.config.v1.subscription_pb2 import SubscriptionFilter


def faults(event_type: str, **values: Any) -> list[tuple[str, str]]:
    """
    Return field and description of the faults of a filter.
    """
    given = normalised_filter(SubscriptionFilter(**values))
    found = filter_faults(given, CATALOGUE.event_types[f"orders/{event_type}"])
    return [(it.field, it.description) for it in found]


STATUSES = [
    ("shipped", "shipped"),
    (" Shipped ", "shipped"),
    ("STAND_BY", "stand_by"),
    ("\N{FULLWIDTH LATIN CAPITAL LETTER H}old", "hold"),
    ("other:Low Balance!", "other:Low Balance!"),
    ("OTHER: Low Balance!", "other:Low Balance!"),
    ("other:shipped", "other:shipped"),
]


@pytest.mark.parametrize(("given", "kept"), STATUSES)
def test_status_that_an_event_can_have(given: str, kept: str) -> None:
    """
    Statuses are kept as payloads show them, whatever their case.
    """
    assert list(normalised_filter(SubscriptionFilter(statuses=[given])).statuses) == [kept]
    assert faults("any_status_change", statuses=[given]) == []


@pytest.mark.parametrize(
    ("given", "nearest"),
    [
        ("shiped", "shipped"),
        ("cancelled", "canceled"),
        ("Stand By", "stand_by"),
        ("back order", "backorder"),
        ("Low Balance!", "other:Low Balance!"),
        ("other", "other:other"),
        ("other:", "other:the label"),
        ("other: ", "other:the label"),
    ],
)
def test_status_that_no_event_can_have(given: str, nearest: str) -> None:
    """
    Another status is refused with the nearest one, and with all that there are.
    """
    ((field, description),) = faults("any_status_change", statuses=[given])

    assert field == "filter.statuses[0]"
    assert f"(did you mean {nearest}?)" in description
    assert "pending, processing, shipped" in description


def test_values_that_are_equal_are_one() -> None:
    """
    Values that are compared as equal are kept once, as first spelt; SKUs are exact.
    """
    kept = normalised_filter(
        SubscriptionFilter(
            statuses=["Pending", "pending", "other:A", "other:a"],
            shipping_methods=["2nd Day", " 2ND DAY", "Caf\u00e9", "cafe\u0301"],
            order_types=["Retail", "retail"],
            store_ids=[2, 1, 2],
            skus=["A", "a", " A "],
        )
    )

    assert list(kept.statuses) == ["pending", "other:A"]
    assert list(kept.shipping_methods) == ["2nd Day", "Caf\u00e9"]
    assert list(kept.order_types) == ["Retail"]
    assert list(kept.store_ids) == [2, 1]
    assert list(kept.skus) == ["A", "a"]


def test_number_of_values_is_bounded() -> None:
    """
    A filter has at most 1,000 values.
    """
    assert faults("shipped_items", skus=[str(it) for it in range(1000)]) == []
    assert faults("shipped_items", skus=[str(it) for it in range(1001)]) == [
        ("filter.skus", "at most 1000 values")
    ]
