"""
Strings of the enums.
"""

import pytest

from dispatch_service.payloads.core import enum_strings
from shipedge.webhooks.events.v1.states_pb2 import (
    ORDER_STATUS_OTHER,
    ORDER_STATUS_PENDING,
    ORDER_STATUS_UNSPECIFIED,
)
from shipedge.webhooks.order_statuses import ORDER_STATUSES


def test_status_is_in_snake_case() -> None:
    """
    The string of a status is its name in lower snake case.
    """
    assert list(ORDER_STATUSES.values()) == [
        "pending",
        "processing",
        "shipped",
        "backorder",
        "canceled",
        "divided",
        "hold",
        "stand_by",
        "network_backorder",
        "error",
        "incomplete",
        "editing",
        "delivered",
    ]


def test_other_enums_are_in_snake_case() -> None:
    """
    All other enums follow the same rule; two kinds of return have longer strings.
    """
    assert [list(strings.values()) for strings in _OTHERS] == [
        ["shipped", "pending"],
        ["shipedge", "amazon_fba", "amazon_mcf", "dropshipper", "wfs"],
        ["oms", "wms", "api", "channel"],
        ["failing", "recovered", "deactivated"],
        ["full", "partial"],
        ["none", "good", "hurt"],
        ["recount", "move", "relocation"],
        ["good", "hurt"],
        ["correction", "order", "shipment", "replenishment", "return", "transfer"],
        [
            "incomplete",
            "in_transit",
            "processing",
            "arrived",
            "ready_for_review",
            "partially_received",
            "received",
            "archived",
            "canceled",
        ],
        ["pending", "in_transit", "processing", "as_expected", "discrepancy", "incomplete"],
        ["simple_return", "exchange_now", "exchange_on_received", "unexpected_return"],
    ]


_OTHERS = (
    enum_strings.ITEM_STATUSES,
    enum_strings.FULFILLMENT_TYPES,
    enum_strings.SOURCES,
    enum_strings.ENDPOINT_CHANGES,
    enum_strings.REFUND_TYPES,
    enum_strings.RESTOCKS,
    enum_strings.CORRECTION_TYPES,
    enum_strings.CONDITIONS,
    enum_strings.LEVEL_CAUSES,
    enum_strings.REPLENISHMENT_STATUSES,
    enum_strings.RETURN_STATUSES,
    enum_strings.RETURN_TYPES,
)


@pytest.mark.parametrize(
    ("status", "label", "shown"),
    [
        (ORDER_STATUS_PENDING, "", "pending"),
        (ORDER_STATUS_PENDING, "ignored", "pending"),
        (ORDER_STATUS_UNSPECIFIED, "", None),
        (ORDER_STATUS_UNSPECIFIED, "ignored", None),
        (ORDER_STATUS_OTHER, "Waiting for Customs", "Waiting for Customs"),
        (ORDER_STATUS_OTHER, "", None),
        (98, "", None),
    ],
)
def test_only_other_shows_its_label(status: int, label: str, shown: str | None) -> None:
    """
    Only `OTHER` shows its label, unchanged; an unknown value is None.
    """
    assert enum_strings.enum_string(ORDER_STATUSES, status, label) == shown
