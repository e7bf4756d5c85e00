"""
The subscriptions with which events are matched late.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from dispatch_service.intake.late_subscriptions import LateSubscriptions, PendingSubscriptions
from dispatch_service.routing.facts import read_facts
from dispatch_service.routing.index import SubscriptionIndex
from dispatch_service.routing.subscriptions import Subscription
from tests.support.dispatch_factories import NOW, subscription
from tests.support.running_intake import shipped

SECOND = timedelta(seconds=1)


def late(*known: Subscription, since: datetime = NOW) -> LateSubscriptions:
    """
    Make late subscriptions of all that are known.
    """
    index = SubscriptionIndex()
    for it in known:
        index.put(it)
    return LateSubscriptions({it.name: since for it in known}, index)


def test_event_is_matched_from_the_instant_on() -> None:
    """
    Events before the instant are not for the subscription, nor those that its filter excludes.
    """
    facts = read_facts(shipped("e1"))
    found = late(subscription(), subscription(subscription_id="other", event_type="orders/packed"))

    assert [it.subscription_id for it in found.match(facts, NOW)] == ["shipped"]
    assert found.match(facts, NOW - SECOND) == ()


def test_subscriptions_are_taken_as_they_are_now() -> None:
    """
    One that has become Inactive, was deleted or is unknown matches nothing.
    """
    found = late(subscription(active=False), subscription(subscription_id="deleted", deleted=True))
    unknown = LateSubscriptions({"accounts/100/subscriptions/gone": NOW}, SubscriptionIndex())

    assert found.wanted() is None
    assert unknown.wanted() is None


def test_events_of_any_account_may_be_for_a_warehouse() -> None:
    """
    Only events are read that may match: of an account, or that name a warehouse.
    """
    one = late(subscription()).wanted()
    both = late(
        subscription(), subscription(owner="warehouses/wq-1", event_type="inventory/corrections")
    ).wanted()

    assert one is not None
    assert both is not None
    assert (one.accounts, one.of_warehouses) == (frozenset({100}), False)
    assert one.domain_events == {"order_status_changed"}
    assert (both.accounts, both.of_warehouses) == (frozenset({100}), True)
    assert both.domain_events > one.domain_events


def test_pending_subscription_keeps_its_earliest_instant() -> None:
    """
    What was added meanwhile stays when what was taken is removed.
    """
    added: list[None] = []
    pending = PendingSubscriptions(lambda: added.append(None))
    pending.add("a", NOW)
    pending.add("a", NOW + SECOND)
    pending.add("b", NOW)
    taken = pending.since()
    pending.add("b", NOW - SECOND)
    pending.remove(taken)

    assert taken == {"a": NOW, "b": NOW}
    assert pending.since() == {"b": NOW - SECOND}
    assert len(added) == 4
