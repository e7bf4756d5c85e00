"""
What became of an event, and why: a verdict for every case.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from dispatch_service.domain.transitions import State
from dispatch_service.payloads import example_event
from dispatch_service.routing.explain import (
    AcceptedEvent,
    EventDelivery,
    Explanation,
    Reason,
    Verdict,
    explain,
    explain_all,
    explain_named,
)
from dispatch_service.routing.facts import read_facts
from dispatch_service.routing.index import SubscriptionIndex
from dispatch_service.routing.owner_settings import OwnerSettings
from dispatch_service.routing.subscriptions import Filter
from shipedge.webhooks.events.v1.catalogue_pb2 import OWNER_FEATURE_INVENTORY_MIRROR
from tests.support.dispatch_factories import NOW, subscription

SOON = NOW + timedelta(minutes=5)
DELIVERY = "accounts/100/deliveries/dlv_018d0c5e7a407c3e9f0a3d2b6f1c9a11"
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
    ("over", "event", "reason", "detail"),
    [
        (
            {"event_type": "orders/canceled"},
            accepted(),
            Reason.EVENT_TYPE_DIFFERS,
            "not orders/canceled",
        ),
        (
            {"event_type": "orders/processing"},
            accepted(facts=read_facts(_UNCHANGED)),
            Reason.EVENT_TYPE_DIFFERS,
            "the event raised no event type, and it wants orders/processing",
        ),
        (
            {
                "event_type": "orders/shipped_by_store",
                "filter": Filter(store_ids=frozenset({7, 9})),
            },
            accepted(),
            Reason.FILTER_DIFFERS,
            "store 12 is not in store_ids 7, 9",
        ),
        ({"active": False}, accepted(), Reason.INACTIVE, "it is Inactive"),
        (
            {"create_time": SOON, "update_time": SOON},
            accepted(),
            Reason.CREATED_LATER,
            "it was made after the event, on 2024-01-15 10:35:00 UTC",
        ),
        ({"update_time": SOON}, accepted(), Reason.CREATED_LATER, "it was changed after"),
        (
            {"event_type": "inventory/mirror"},
            accepted("inventory/mirror"),
            Reason.FEATURE_MISSING,
            "accounts/100 lacks the feature for inventory/mirror",
        ),
        ({}, accepted(matched=False), Reason.NOT_RECORDED, "waits for the subscriptions"),
        ({}, accepted(facts=None), Reason.NOT_RECORDED, "erased"),
        ({}, accepted(), Reason.NOT_RECORDED, "no delivery of it is stored"),
    ],
)
def test_reasons(over: dict[str, Any], event: AcceptedEvent, reason: Reason, detail: str) -> None:
    """
    The most telling reason is given, in words that name the values.
    """
    found = explain(event, subscription(**over), OwnerSettings())
    assert (found.verdict, found.reason) == (Verdict.NOT_MATCHED, reason)
    assert not found.delivery
    assert detail in found.detail


@pytest.mark.parametrize(
    ("state", "verdict"),
    [
        (State.PENDING, Verdict.WAITING),
        (State.DELIVERING, Verdict.WAITING),
        (State.SUCCEEDED, Verdict.DELIVERED),
        (State.FAILED, Verdict.FAILED),
        (State.CANCELLED, Verdict.CANCELLED),
    ],
)
def test_delivery_says_what_became_of_it(state: State, verdict: Verdict) -> None:
    """
    Where there is a delivery nothing else matters.
    """
    wanted = subscription(active=False, deleted=True)
    delivery = EventDelivery(DELIVERY, state, "why")
    found = explain(accepted(deliveries={wanted.name: delivery}), wanted, OwnerSettings())
    assert found == Explanation(wanted.name, verdict, "why", DELIVERY)


def test_deleted_subscription_is_said_to_be() -> None:
    """
    Without a delivery, a deleted subscription is deleted, whatever else differs.
    """
    found = explain(accepted(), subscription(deleted=True, active=False), OwnerSettings())
    assert (found.verdict, found.reason) == (Verdict.DELETED, Reason.NONE)


def test_held_subscription_is_said_to_be() -> None:
    """
    A held subscription is not called Inactive.
    """
    found = explain(accepted(), subscription(active=False), OwnerSettings(), held=True)
    assert (found.verdict, found.reason) == (Verdict.NOT_MATCHED, Reason.HELD)


def test_all_subscriptions_of_the_owners_are_explained() -> None:
    """
    Live, deleted and held ones are, and those of which nothing is known but a name or a delivery;
    those of others are not.
    """
    index = SubscriptionIndex()
    owner = "accounts/100"
    names = {it: f"{owner}/subscriptions/{it}" for it in ("live", "dead", "hold", "lost", "past")}
    for name, over in {"live": {}, "dead": {"deleted": True}, "hold": {}}.items():
        index.put(subscription(subscription_id=name, **over))
    index.put(subscription(subscription_id="them", owner="accounts/200"))
    index.hold(names["hold"], 9)
    index.hold(names["lost"], 9)
    index.hold("accounts/200/subscriptions/lost", 9)
    past = {names["past"]: EventDelivery(DELIVERY, State.SUCCEEDED)}

    found = list(explain_all(accepted(deliveries=past), [owner], index))

    assert {it.subscription: (it.verdict, it.reason) for it in found} == {
        names["live"]: (Verdict.NOT_MATCHED, Reason.NOT_RECORDED),
        names["dead"]: (Verdict.DELETED, Reason.NONE),
        names["hold"]: (Verdict.NOT_MATCHED, Reason.HELD),
        names["lost"]: (Verdict.NOT_MATCHED, Reason.HELD),
        names["past"]: (Verdict.DELIVERED, Reason.NONE),
    }
    assert len(found) == len(names)
    index.remove(names["dead"])
    assert names["dead"] not in {it.name for it in index.all_of_owner(owner)}


def test_named_subscription_that_is_gone() -> None:
    """
    Who asks for a subscription that does not exist any more is not left without an answer, but for
    one that the event does not concern.
    """
    index, owner = SubscriptionIndex(), "accounts/100"
    index.put(subscription())
    name = subscription().name

    (live,) = explain_named(accepted(), [owner], index, name)
    (gone,) = explain_named(accepted(), [owner], index, f"{owner}/subscriptions/gone")
    assert (live.verdict, gone.verdict) == (Verdict.NOT_MATCHED, Verdict.DELETED)
    assert explain_named(accepted(), [owner], index, "accounts/200/subscriptions/gone") == []


def test_change_after_the_event_is_said() -> None:
    """
    What was changed after the event explains it only as far as it is known.
    """
    found = explain(accepted(), subscription(active=False, update_time=SOON), OwnerSettings())
    assert found.reason is Reason.INACTIVE
    assert "it was changed after the event, on 2024-01-15 10:35:00 UTC" in found.detail


def test_feature_that_is_there() -> None:
    """
    With the feature the mirror is not kept back.
    """
    wanted = subscription(event_type="inventory/mirror")
    found = explain(accepted("inventory/mirror"), wanted, MIRROR)
    assert found.reason is Reason.NOT_RECORDED
