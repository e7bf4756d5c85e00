"""
The strings of the enums.
"""

import pytest

from dispatch_service.payloads.core import states
from shipedge.webhooks.events.v1.states_pb2 import (
    ORDER_STATUS_OTHER,
    ORDER_STATUS_PENDING,
    ORDER_STATUS_UNSPECIFIED,
)


def test_order_statuses() -> None:
    """
    A status is shown in lower snake case.
    """
    assert list(states.ORDER_STATUSES.values()) == [
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


def test_other_sets() -> None:
    """
    So are the values of all other sets; two kinds of return have longer names.
    """
    assert [list(shown.values()) for shown in _OTHERS] == [
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
    states.ITEM_STATUSES,
    states.FULFILLMENT_TYPES,
    states.SOURCES,
    states.ENDPOINT_STATES,
    states.REFUND_TYPES,
    states.RESTOCKS,
    states.CORRECTION_TYPES,
    states.CONDITIONS,
    states.LEVEL_CAUSES,
    states.REPLENISHMENT_STATUSES,
    states.RETURN_STATUSES,
    states.RETURN_TYPES,
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
def test_labels(status: int, label: str, shown: str | None) -> None:
    """
    Only `OTHER` shows its label, unchanged; what is not known is null.
    """
    assert states.shown(states.ORDER_STATUSES, status, label) == shown
