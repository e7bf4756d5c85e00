"""
What a subscription may be.
"""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import duration_pb2
from google.protobuf.duration_pb2 import Duration

from config_service.rules.errors import FeatureMissing
from config_service.rules.subscriptions import check, normalised
from service_runtime.rpc.errors import InvalidArgument
from service_runtime.rules.urls import UrlRules
from shipedge.webhooks.config.v1.subscription_pb2 import (
    CustomHeader,
    RetrySchedule,
    Subscription,
    SubscriptionFilter,
)
from shipedge.webhooks.events.v1.catalogue_pb2 import OWNER_FEATURE_INVENTORY_MIRROR

ACCOUNT, WAREHOUSE = "accounts/100", "warehouses/wh1"


def wanted(**over: Any) -> Subscription:
    """
    Make a subscription that is valid but for *over*.
    """
    values: dict[str, Any] = {
        "event_type": "orders/shipped",
        "payload_version": "v2",
        "url": "https://example.com/hooks",
        "status": Subscription.STATUS_ACTIVE,
    }
    return normalised(Subscription(**(values | over)))


def accept(subscription: Subscription, owner: str = ACCOUNT, *features: int) -> None:
    """
    Check with the rules of production.
    """
    check(subscription, owner, rules=UrlRules(), features=frozenset(features))


def schedule(*seconds: int) -> RetrySchedule:
    """
    Make a retry schedule.
    """
    return RetrySchedule(delays=[Duration(seconds=it) for it in seconds])


def header(name: str, value: str = "x") -> list[CustomHeader]:
    """
    Make one custom header.
    """
    return [CustomHeader(name=name, value=value)]


def minutes(count: int) -> duration_pb2.Duration:
    """
    Make a span.
    """
    return duration_pb2.Duration(seconds=count * 60)


@pytest.mark.parametrize(
    "over",
    [
        {},
        {"ordered": True, "max_concurrency": 100, "rate_limit": 10_000},
        {"deactivate_after": minutes(60)},
        {"trace_context": True},
        {"event_type": "webhooks/endpoint_failing", "payload_version": "v3"},
        {"payload_version": "v1"},
        {"status": Subscription.STATUS_INACTIVE},
        {"format": Subscription.PAYLOAD_FORMAT_JSON},
        {"custom_headers": header("Authorization", "Bearer token")},
        {"retry_schedule": schedule(1, 60, 604_800)},
        {"description": "für den Shop"},
        {"event_type": "orders/any_status_change"},
        {
            "event_type": "orders/any_status_change",
            "filter": SubscriptionFilter(statuses=["backorder"]),
        },
        {"event_type": "orders/shipped_by_store", "filter": SubscriptionFilter(store_ids=[12])},
        {"event_type": "orders/shipped_by_store", "filter": SubscriptionFilter(channels=["ebay"])},
    ],
)
def test_accepts(over: dict[str, Any]) -> None:
    """
    What keeps the rules is accepted.
    """
    accept(wanted(**over))


CASES = [
    ({"event_type": ""}, "event_type", "is not an event type", "EVENT_TYPE_UNKNOWN"),
    ({"deactivate_after": minutes(59)}, "deactivate_after", "1 hour to 90 days", "FIELD_INVALID"),
    (
        {"deactivate_after": minutes(90 * 24 * 60 + 1)},
        "deactivate_after",
        "1 hour to 90 days",
        "FIELD_INVALID",
    ),
    (
        {"event_type": "orders/shiped"},
        "event_type",
        "did you mean orders/shipped?",
        "EVENT_TYPE_UNKNOWN",
    ),
    (
        {"payload_version": "v4"},
        "payload_version",
        "choose v1, v2, v3",
        "PAYLOAD_VERSION_UNKNOWN",
    ),
    (
        {"event_type": "orders/shipped_by_store"},
        "filter.store_ids",
        "needs at least one value here, or in filter.channels",
        "FILTER_INVALID",
    ),
    (
        {"event_type": "orders/shipped_with_shipping_method"},
        "filter.shipping_methods",
        "needs at least one value",
        "FILTER_INVALID",
    ),
    (
        {"filter": SubscriptionFilter(skus=["A"])},
        "filter.skus",
        "takes no filter",
        "FILTER_INVALID",
    ),
    (
        {
            "event_type": "orders/shipped_by_store",
            "filter": SubscriptionFilter(store_ids=[1], skus=["A"]),
        },
        "filter.skus",
        "takes only filter.store_ids or filter.channels",
        "FILTER_INVALID",
    ),
    (
        {"event_type": "orders/shipped_by_store", "filter": SubscriptionFilter(store_ids=[0])},
        "filter.store_ids[0]",
        "must be 1 to 2^53 - 1",
        "FILTER_INVALID",
    ),
    (
        {
            "event_type": "orders/any_status_change",
            "filter": SubscriptionFilter(statuses=["shipped", "shiped"]),
        },
        "filter.statuses[1]",
        "did you mean shipped?",
        "FILTER_INVALID",
    ),
    (
        {
            "event_type": "orders/shipped_by_order_type",
            "filter": SubscriptionFilter(order_types=["a", " "]),
        },
        "filter.order_types[1]",
        "must not be empty",
        "FILTER_INVALID",
    ),
    ({"url": ""}, "url", "", "URL_INVALID"),
    ({"url": "http://example.com/"}, "url", "https", "URL_INVALID"),
    ({"url": "https://user:pass@example.com/"}, "url", "", "URL_INVALID"),
    ({"url": "https://example.com/#part"}, "url", "", "URL_INVALID"),
    ({"url": "https://10.0.0.1/"}, "url", "not a public address", "URL_INVALID"),
    ({"url": "https://169.254.169.254/"}, "url", "not a public address", "URL_INVALID"),
    ({"url": "https://localhost/"}, "url", "", "URL_INVALID"),
    ({"custom_headers": header("Content-Type")}, "custom_headers[0].name", "", "HEADER_INVALID"),
    ({"custom_headers": header("webhook-id")}, "custom_headers[0].name", "", "HEADER_INVALID"),
    ({"custom_headers": header("X-Shipedge-A")}, "custom_headers[0].name", "", "HEADER_INVALID"),
    ({"custom_headers": header("A b")}, "custom_headers[0].name", "", "HEADER_INVALID"),
    ({"custom_headers": header("A", "x\r\ny")}, "custom_headers[0].value", "", "HEADER_INVALID"),
    (
        {"custom_headers": header("A", "")},
        "custom_headers[0].value",
        "must be set",
        "HEADER_INVALID",
    ),
    (
        {"credential": "accounts/200/credentials/crd_1"},
        "credential",
        "accounts/100/credentials/",
        "FIELD_INVALID",
    ),
    ({"client_certificate": "nonsense"}, "client_certificate", "", "FIELD_INVALID"),
    ({"signing_key": "nonsense"}, "signing_key", "", "FIELD_INVALID"),
    (
        {"signing_key": "accounts/200/signingKeys/main"},
        "signing_key",
        "accounts/100/signingKeys/",
        "FIELD_INVALID",
    ),
    ({"status": 0}, "status", "STATUS_ACTIVE or STATUS_INACTIVE", "FIELD_INVALID"),
    ({"format": 7}, "format", "PAYLOAD_FORMAT_JSON", "FIELD_INVALID"),
    ({"description": "x" * 501}, "description", "500 characters", "FIELD_INVALID"),
    ({"description": "\0"}, "description", "NUL", "FIELD_INVALID"),
    (
        {"retry_schedule": schedule()},
        "retry_schedule.delays",
        "1 to 20 delays",
        "FIELD_INVALID",
    ),
    (
        {"retry_schedule": schedule(5, 0)},
        "retry_schedule.delays[1]",
        "1 s to 7 days",
        "FIELD_INVALID",
    ),
    (
        {"retry_schedule": schedule(*[604_800] * 5)},
        "retry_schedule.delays",
        "30 days in all",
        "FIELD_INVALID",
    ),
    ({"max_concurrency": 101}, "max_concurrency", "1 to 100", "FIELD_INVALID"),
    ({"max_concurrency": -1}, "max_concurrency", "1 to 100", "FIELD_INVALID"),
    ({"rate_limit": -1}, "rate_limit", "1 to 10,000", "FIELD_INVALID"),
    ({"rate_limit": 10_001}, "rate_limit", "1 to 10,000", "FIELD_INVALID"),
]


@pytest.mark.parametrize(
    ("over", "field", "text", "reason"), CASES, ids=[f"{n}-{it[1]}" for n, it in enumerate(CASES)]
)
def test_refuses(over: dict[str, Any], field: str, text: str, reason: str) -> None:
    """
    What breaks a rule is refused with the field, what is allowed and the reason.
    """
    with pytest.raises(InvalidArgument) as raised:
        accept(wanted(**over))

    fault = raised.value.faults[0]
    assert fault.field == f"subscription.{field}"
    assert text in fault.description
    assert raised.value.reason == reason


def test_everything_is_said_at_once() -> None:
    """
    Several faults come together, each with its reason; that of the call is the first field's.
    """
    with pytest.raises(InvalidArgument) as raised:
        accept(wanted(payload_version="v9", url="ftp://x", status=0))

    assert [(it.field, it.reason) for it in raised.value.faults] == [
        ("subscription.payload_version", "PAYLOAD_VERSION_UNKNOWN"),
        ("subscription.url", "URL_INVALID"),
        ("subscription.status", "FIELD_INVALID"),
    ]
    assert raised.value.reason == "PAYLOAD_VERSION_UNKNOWN"
    assert raised.value.metadata["offered"] == "v1, v2, v3"


def test_warehouses_choose_from_their_own_event_types() -> None:
    """
    A warehouse may have what happens in warehouses, nothing else.
    """
    accept(wanted(), WAREHOUSE)

    with pytest.raises(InvalidArgument) as raised:
        accept(wanted(event_type="orders/refund"), WAREHOUSE)
    assert "they may choose orders/processing" in raised.value.message


def test_mirror_needs_its_feature() -> None:
    """
    The inventory mirror is refused without the feature, with the reason.
    """
    mirror = wanted(event_type="inventory/mirror")

    with pytest.raises(FeatureMissing) as raised:
        accept(mirror)
    assert raised.value.metadata["feature"] == "INVENTORY_MIRROR"
    accept(mirror, ACCOUNT, OWNER_FEATURE_INVENTORY_MIRROR)


def test_authorization_is_for_the_credential_where_there_is_one() -> None:
    """
    The header of a credential cannot be set by hand beside it.
    """
    both = wanted(
        credential="accounts/100/credentials/crd_1", custom_headers=header("authorization")
    )

    with pytest.raises(InvalidArgument, match="credential sets this header"):
        accept(both)


def test_normalising() -> None:
    """
    Texts are trimmed, repeated values dropped, defaults written out.
    """
    given = Subscription(
        url=" https://example.com/ ",
        filter=SubscriptionFilter(order_types=[" a ", "a", "b"], store_ids=[2, 1, 2]),
        custom_headers=header("A", " x "),
    )

    wanted = normalised(given)

    assert wanted.url == "https://example.com/"
    assert list(wanted.filter.order_types) == ["a", "b"]
    assert list(wanted.filter.store_ids) == [2, 1]
    assert wanted.custom_headers[0].value == "x"
    assert wanted.format == Subscription.PAYLOAD_FORMAT_JSON
    assert given.url == " https://example.com/ "
