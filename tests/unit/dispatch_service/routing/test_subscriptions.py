"""
Subscriptions compiled for matching and delivery.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dispatch_service.routing.subscriptions import (
    Filter,
    Subscription,
    begins_to_match,
    compile_signing_key,
    compile_subscription,
)
from service_runtime.rules.urls import UrlRules
from shipedge.webhooks.config.v1 import subscription_pb2
from shipedge.webhooks.feed.v1.feed_service_pb2 import (
    FeedSigningKey,
    FeedSigningSecret,
    FeedSubscription,
)
from tests.support.dispatch_factories import subscription


def message(**over: object) -> FeedSubscription:
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
    made.MergeFrom(subscription_pb2.Subscription(**over))  # type: ignore[arg-type]
    secret = FeedSigningSecret(secret="whsec_a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=")
    return FeedSubscription(subscription=made, signing_secrets=[secret])


def compiled(made: FeedSubscription) -> Subscription:
    """
    Compile with the rules of production.
    """
    return compile_subscription(made, UrlRules(), lambda _: b"hash")


def test_compiling() -> None:
    """
    Filter, keys, URL and limits of a subscription are parsed once, when it is compiled.
    """
    filters = subscription_pb2.SubscriptionFilter(shipping_methods=[" Ground "], skus=["A"])
    made = compile_subscription(message(filter=filters), UrlRules(), str.encode)

    assert (made.owner, made.subscription_id, made.revision) == ("accounts/100", "shipped", 7)
    assert made.active
    assert not made.deleted
    assert made.filter == Filter(shipping_methods=frozenset({"ground"}), skus=frozenset({"A"}))
    assert made.keys[0].key == b"k" * 3 + b"k" * 29
    assert made.endpoint == "https://example.com:443"
    assert made.url_shown == "https://example.com/…#" + made.url_hash[:4].hex()
    assert made.url_hash == b"https://example.com/hooks?token=x"


def test_url_that_breaks_the_rules_is_kept_as_a_problem() -> None:
    """
    A subscription with a URL that the rules refuse still exists.
    """
    made = compile_subscription(message(url="https://10.0.0.1/"), UrlRules(), str.encode)

    assert made.url is None
    assert "public" in made.url_problem
    assert (made.endpoint, made.url_shown) == ("", "")


def test_nothing_secret_in_the_repr() -> None:
    """
    Keys, header values and queries do not show.
    """
    made = message()
    made.subscription.custom_headers.add(name="Authorization", value="Bearer hidden")

    shown = repr(compiled(made))

    assert "hidden" not in shown
    assert "token=x" not in shown
    assert "kkkk" not in shown


SECRET = "whsec_a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s="
PRIVATE = "whsk_a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s="


def test_signing_key_of_many_subscriptions() -> None:
    """
    Its secrets sign for all, its ed25519 keys for those alone that ask for them; none is shown.
    """
    secrets = [FeedSigningSecret(secret=SECRET, signing_key=PRIVATE)]
    shared = compile_signing_key(FeedSigningKey(signing_secrets=secrets))

    (plain,) = shared.of(subscription())
    (both,) = shared.of(subscription(asymmetric_signature=True))
    assert (plain.key, plain.private_key) == (b"k" * 32, None)
    assert both.key == b"k" * 32
    assert both.private_key is not None
    assert "kkkk" not in repr(shared)


@pytest.mark.parametrize("secrets", [[], ["whsec_not base64"]])
def test_signing_key_that_cannot_sign(secrets: list[str]) -> None:
    """
    It cannot be used: no request goes out without a signature.
    """
    fed = FeedSigningKey(signing_secrets=[FeedSigningSecret(secret=it) for it in secrets])

    with pytest.raises(ValueError, match="secret"):
        compile_signing_key(fed)


SINCE = datetime(2026, 1, 1, tzinfo=UTC)
BEGINS: dict[str, tuple[Subscription | None, dict[str, Any], bool]] = {
    "new": (None, {}, True),
    "new, of a config service that does not tell": (None, {"matches_since": None}, False),
    "new and Inactive": (None, {"active": False}, False),
    "deleted": (None, {"deleted": True}, False),
    "another field changed": (subscription(matches_since=SINCE), {}, False),
    "matches otherwise": (subscription(matches_since=SINCE - timedelta(1)), {}, True),
}


@pytest.mark.parametrize("case", BEGINS)
def test_when_a_subscription_begins_to_match(case: str) -> None:
    """
    A revision begins to match if it matches since another instant than the last one known.
    """
    before, over, begins = BEGINS[case]

    assert begins_to_match(before, subscription(**({"matches_since": SINCE} | over))) is begins
