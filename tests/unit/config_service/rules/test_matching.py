"""
Which changes make a subscription match other events.
"""

from __future__ import annotations

from typing import Any

import pytest

from config_service.rules.matching import begins_to_match
from shipedge.webhooks.config.v1.subscription_pb2 import Subscription, SubscriptionFilter

ACTIVE, INACTIVE = Subscription.STATUS_ACTIVE, Subscription.STATUS_INACTIVE
FIRST: dict[str, Any] = {"status": ACTIVE, "event_type": "orders/shipped", "payload_version": "v2"}
CASES: dict[str, tuple[dict[str, Any], dict[str, Any], bool]] = {
    "nothing": ({}, {}, False),
    "another URL": ({}, {"url": "https://example.com/other"}, False),
    "set Active": ({"status": INACTIVE}, {}, True),
    "set Inactive": ({}, {"status": INACTIVE}, False),
    "event type": ({}, {"event_type": "orders/packed"}, True),
    "event type of an Inactive one": (
        {"status": INACTIVE},
        {"status": INACTIVE, "event_type": "orders/packed"},
        False,
    ),
    "payload version": ({}, {"payload_version": "v3"}, True),
    "filter": ({}, {"filter": SubscriptionFilter(store_ids=[1])}, True),
    "same filter": (
        {"filter": SubscriptionFilter(store_ids=[1])},
        {"filter": SubscriptionFilter(store_ids=[1])},
        False,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_makes_a_subscription_match_other_events(case: str) -> None:
    """
    A change to Active, and changes of event type, version and filter of an Active one.
    """
    before, after, begins = CASES[case]

    assert begins_to_match(Subscription(**(FIRST | before)), Subscription(**(FIRST | after))) is (
        begins
    )
