"""
Why an event was sent or was not: a verdict for every case.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from dispatch_service.payloads import example_event
from dispatch_service.routing.explain import AcceptedEvent, Verdict, explain
from dispatch_service.routing.facts import read_facts
from dispatch_service.routing.owner_settings import OwnerSettings
from dispatch_service.routing.subscriptions import Filter
from shipedge.webhooks.events.v1.catalogue_pb2 import OWNER_FEATURE_INVENTORY_MIRROR
from tests.support.dispatch_factories import NOW, subscription

SOON = NOW + timedelta(minutes=5)
DELIVERY = "018d0c5e7a407c3e9f0a3d2b6f1c9a11"
MIRROR = OwnerSettings(features=frozenset({OWNER_FEATURE_INVENTORY_MIRROR}))


_UNCHANGED = example_event("orders/shipped")
_UNCHANGED.order_status_changed.from_status = _UNCHANGED.order_status_changed.to_status


def accepted(event_type: str = "orders/shipped", **over: Any) -> AcceptedEvent:
    """
    Make an event that was accepted a minute after the subscription was made.
    """
    event = AcceptedEvent(
        accept_time=NOW + timedelta(minutes=1),
        matched=True,
        facts=read_facts(example_event(event_type)),
        deliveries={},
    )
    return replace(event, **over)


@pytest.mark.parametrize(
    ("over", "event", "verdict", "detail"),
    [
        (
            {"event_type": "orders/canceled"},
            accepted(),
            Verdict.EVENT_TYPE_DIFFERS,
            "not orders/canceled",
        ),
        (
            {"event_type": "orders/processing"},
            accepted(facts=read_facts(_UNCHANGED)),
            Verdict.EVENT_TYPE_DIFFERS,
            "the event raised no event type, and it wants orders/processing",
        ),
        (
            {
                "event_type": "orders/shipped_by_store",
                "filter": Filter(store_ids=frozenset({7, 9})),
            },
            accepted(),
            Verdict.FILTER_DIFFERS,
            "store 12 is not in store_ids 7, 9",
        ),
        ({"active": False}, accepted(), Verdict.INACTIVE, "it is Inactive"),
        (
            {"create_time": SOON, "update_time": SOON},
            accepted(),
            Verdict.CREATED_LATER,
            "it was made after the event, on 2024-01-15 10:35:00 UTC",
        ),
        ({"update_time": SOON}, accepted(), Verdict.CREATED_LATER, "it was changed after"),
        (
            {"event_type": "inventory/mirror"},
            accepted("inventory/mirror"),
            Verdict.FEATURE_MISSING,
            "accounts/100 lacks the feature for inventory/mirror",
        ),
        ({}, accepted(matched=False), Verdict.NOT_RECORDED, "waits for the subscriptions"),
        ({}, accepted(facts=None), Verdict.NOT_RECORDED, "erased"),
        ({}, accepted(), Verdict.NOT_RECORDED, "no delivery of it is stored"),
    ],
)
def test_verdicts(
    over: dict[str, Any], event: AcceptedEvent, verdict: Verdict, detail: str
) -> None:
    """
    The most telling reason is given, in words that name the values.
    """
    found = explain(event, subscription(**over), OwnerSettings())
    assert (found.verdict, found.delivery) == (verdict, "")
    assert detail in found.detail


def test_sent_names_the_delivery() -> None:
    """
    Where there is a delivery nothing else matters.
    """
    wanted = subscription(active=False)
    event = accepted(deliveries={wanted.name: DELIVERY})
    found = explain(event, wanted, OwnerSettings())
    assert found.verdict is Verdict.SENT
    assert found.delivery == f"accounts/100/deliveries/dlv_{DELIVERY}"


def test_change_after_the_event_is_said() -> None:
    """
    What was changed after the event explains it only as far as it is known.
    """
    found = explain(accepted(), subscription(active=False, update_time=SOON), OwnerSettings())
    assert found.verdict is Verdict.INACTIVE
    assert "it was changed after the event, on 2024-01-15 10:35:00 UTC" in found.detail


def test_feature_that_is_there() -> None:
    """
    With the feature the mirror is not kept back.
    """
    wanted = subscription(event_type="inventory/mirror")
    found = explain(accepted("inventory/mirror"), wanted, MIRROR)
    assert found.verdict is Verdict.NOT_RECORDED
