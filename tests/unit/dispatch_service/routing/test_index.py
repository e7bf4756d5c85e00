"""
Subscriptions as deliveries need them.
"""

from __future__ import annotations

from datetime import timedelta

from dispatch_service.domain.deliveries import DEFAULT_RETRY_SCHEDULE
from dispatch_service.routing.index import (
    Filter,
    Subscription,
    SubscriptionIndex,
    compile_subscription,
)
from dispatch_service.routing.owner_settings import OwnerSettings, compile_settings
from service_runtime.rules.urls import UrlRules
from shipedge.webhooks.config.v1 import account_settings_pb2, subscription_pb2
from tests.support.dispatch_factories import subscription


def message(**over: object) -> subscription_pb2.Subscription:
    """
    Make a subscription as the feed sends it.
    """
    made = subscription_pb2.Subscription(
        name="accounts/100/subscriptions/shipped",
        event_type="orders/shipped",
        payload_version="v2",
        url="https://example.com/hooks?token=x",
        status=subscription_pb2.Subscription.STATUS_ACTIVE,
        revision=7,
    )
    made.signing_secrets.add(secret="whsec_a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=")
    made.MergeFrom(subscription_pb2.Subscription(**over))  # type: ignore[arg-type]
    return made


def compiled(made: subscription_pb2.Subscription) -> object:
    """
    Compile with the rules of production.
    """
    return compile_subscription(made, UrlRules(), lambda _: b"hash")


def live_of(index: SubscriptionIndex, owner: str, event_type: str) -> list[Subscription]:
    """
    List what an owner holds of an event type.
    """
    return list(index.live(owner).get(event_type, {}).values())


def test_compiling() -> None:
    """
    What deliveries need is read once.
    """
    filters = subscription_pb2.SubscriptionFilter(shipping_methods=[" Ground "], skus=["A"])
    it = compile_subscription(message(filter=filters), UrlRules(), str.encode)

    assert (it.owner, it.subscription_id, it.revision) == ("accounts/100", "shipped", 7)
    assert it.active
    assert not it.deleted
    assert it.filter == Filter(shipping_methods=frozenset({"ground"}), skus=frozenset({"A"}))
    assert it.keys[0].key == b"k" * 3 + b"k" * 29
    assert it.endpoint == "https://example.com:443"
    assert it.url_shown == "https://example.com/hooks?…"
    assert it.url_hash == b"https://example.com/hooks?token=x"


def test_url_that_breaks_the_rules_is_kept_as_a_problem() -> None:
    """
    A subscription with a URL that may not be used here still exists.
    """
    it = compile_subscription(message(url="https://10.0.0.1/"), UrlRules(), str.encode)

    assert it.url is None
    assert "public" in it.url_problem
    assert (it.endpoint, it.url_shown) == ("", "")


def test_nothing_secret_in_the_repr() -> None:
    """
    Keys, header values and queries do not show.
    """
    made = message()
    made.custom_headers.add(name="Authorization", value="Bearer hidden")

    shown = repr(compiled(made))

    assert "hidden" not in shown
    assert "token=x" not in shown
    assert "kkkk" not in shown


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


def test_settings_are_read() -> None:
    """
    Features and the default schedule come from the feed.
    """
    made = account_settings_pb2.AccountSettings(features=[1])  # type: ignore[list-item]
    made.default_retry_schedule.delays.add(seconds=60)

    assert compile_settings(made) == OwnerSettings(frozenset({1}), (timedelta(minutes=1),))
