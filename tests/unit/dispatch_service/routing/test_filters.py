"""
Why a filter excludes an event, in sentences for people.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from dispatch_service.payloads import example_event
from dispatch_service.routing.facts import read_facts
from dispatch_service.routing.filters import why_filtered
from dispatch_service.routing.subscriptions import Filter
from shipedge.webhooks.catalogue import CATALOGUE
from shipedge.webhooks.events.v1 import event_pb2
from tests.support.dispatch_factories import subscription


def _event(skus: Iterable[str] = ("PROD-001",), methods: Iterable[str] = ()) -> event_pb2.Event:
    """
    Make an order that was shipped, of *skus*, by *methods*.
    """
    event = example_event("orders/shipped")
    order = event.order_status_changed.order
    for field in ("items", "shipments", "shipping_method"):
        order.ClearField(field)
    for sku in skus:
        order.items.add(sku=sku, quantity=1)
    for method in methods:
        order.shipments.add(shipping_method=method)
    return event


SENTENCES: list[tuple[str, dict[str, Any], event_pb2.Event, str | None]] = [
    ("shipped_items", {}, _event(), None),
    ("shipped_items", {"skus": {"PROD-001", "B"}}, _event(), None),
    ("shipped_items", {"skus": {"b"}}, _event(["B"]), "SKU B is not in skus b"),
    ("shipped_items", {"skus": {"b"}}, _event("BA"), "none of the SKUs A, B is in skus b"),
    (
        "shipped_items",
        {"skus": {"b"}},
        _event("GFEDCBA"),
        "none of the SKUs A, B, C, D, E, … is in skus b",
    ),
    (
        "shipped_items",
        {"skus": {"b"}},
        _event(""),
        "the event has no SKU, where the filter has skus b",
    ),
    (
        "shipped_with_shipping_method",
        {"shipping_methods": {"ground", "air"}},
        _event(methods=["Sea"]),
        "shipping method sea is not in shipping_methods air, ground",
    ),
    (
        "shipped_with_shipping_method",
        {"shipping_methods": {"ground"}},
        _event(methods=["Sea", "Air"]),
        "none of the shipping methods air, sea is in shipping_methods ground",
    ),
    (
        "shipped_with_shipping_method",
        {"shipping_methods": {"ground"}},
        _event(),
        "the event has no shipping method, where the filter has shipping_methods ground",
    ),
    (
        "any_status_change",
        {"statuses": {"pending"}},
        _event(),
        "status shipped is not in statuses pending",
    ),
    (
        "shipped_by_order_type",
        {"order_types": {"wholesale"}},
        _event(),
        "order type retail is not in order_types wholesale",
    ),
    ("shipped_by_store", {"store_ids": {7, 9}}, _event(), "store 12 is not in store_ids 7, 9"),
    ("shipped_by_store", {"channels": {"shopify", "ebay"}}, _event(), None),
    ("shipped_by_store", {"store_ids": {7}, "channels": {"shopify"}}, _event(), None),
    ("shipped_by_store", {"store_ids": {12}, "channels": {"ebay"}}, _event(), None),
    (
        "shipped_by_store",
        {"store_ids": {7}, "channels": {"ebay"}},
        _event(),
        "store 12 is not in store_ids 7, and channel shopify is not in channels ebay",
    ),
]


@pytest.mark.parametrize(("action", "values", "event", "sentence"), SENTENCES)
def test_sentences(
    action: str, values: dict[str, Any], event: event_pb2.Event, sentence: str | None
) -> None:
    """
    The sentence names what the event has and what the filter asks for.
    """
    event_type = CATALOGUE.event_types[f"orders/{action}"]
    wanting = subscription(
        event_type=event_type.event_type,
        filter=Filter(**{name: frozenset(given) for name, given in values.items()}),
    )

    assert why_filtered(wanting, event_type, read_facts(event)) == sentence
