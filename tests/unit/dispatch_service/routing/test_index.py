"""
The subscriptions in memory.
"""

from __future__ import annotations

from datetime import timedelta

from dispatch_service.domain.transitions import DEFAULT_RETRY_SCHEDULE
from dispatch_service.routing.index import SubscriptionIndex
from dispatch_service.routing.owner_settings import OwnerSettings
from dispatch_service.routing.subscriptions import Subscription
from tests.support.dispatch_factories import subscription


def live_of(index: SubscriptionIndex, owner: str, event_type: str) -> list[Subscription]:
    """
    List what an owner holds of an event type.
    """
    return list(index.live(owner).get(event_type, {}).values())


def test_index_finds_the_live_ones() -> None:
    """
    Deleted subscriptions are known by name but want nothing.
    """
    index = SubscriptionIndex()
    index.put(subscription())
    index.put(subscription(subscription_id="gone", deleted=True))

    assert [it.subscription_id for it in live_of(index, "accounts/100", "orders/shipped")] == [
        "shipped"
    ]
    assert "accounts/100/subscriptions/gone" in index.by_name


def test_index_follows_a_change_of_the_event_type() -> None:
    """
    A subscription that changes wants what it wants now.
    """
    index = SubscriptionIndex()
    index.put(subscription())

    index.put(subscription(event_type="orders/refund"))

    assert live_of(index, "accounts/100", "orders/shipped") == []
    assert len(live_of(index, "accounts/100", "orders/refund")) == 1


def test_index_forgets() -> None:
    """
    What was removed is gone; removing it again is nothing.
    """
    index = SubscriptionIndex()
    index.put(subscription())

    index.remove("accounts/100/subscriptions/shipped")
    index.remove("accounts/100/subscriptions/shipped")

    assert index.by_name == {}
    assert index.by_key == {}
    assert live_of(index, "accounts/100", "orders/shipped") == []


def test_schedule_is_its_own_then_the_owners_then_the_default() -> None:
    """
    The nearest schedule that was set counts.
    """
    index, minute, hour = SubscriptionIndex(), timedelta(minutes=1), timedelta(hours=1)

    assert index.schedule_of(subscription()) == DEFAULT_RETRY_SCHEDULE
    index.put_settings("accounts/100", OwnerSettings(schedule=(hour,)))
    assert index.schedule_of(subscription()) == (hour,)
    assert index.schedule_of(subscription(schedule=(minute,))) == (minute,)
