"""
From flags to filters and subscriptions.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from shipedge.webhooks.config.v1.subscription_pb2 import Subscription
from webhooksctl.options.groups import Flag
from webhooksctl.options.log_flags import ATTEMPTS, DELIVERIES, attempt_filter, delivery_filter
from webhooksctl.options.subscription_flags import FLAGS, subscription_of

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


def full(text: str) -> str:
    """
    Return the name of a subscription.
    """
    return f"accounts/1/subscriptions/{text}"


def given(flags: tuple[Flag, ...], **values: Any) -> dict[str, Any]:
    """
    Return the values of a group of flags.
    """
    return {flag.name: flag.default for flag in flags} | values


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({}, ""),
        ({"failed": True}, "state = FAILED"),
        ({"state": "pending"}, "state = PENDING"),
        ({"since": "2h"}, 'create_time >= "2026-01-31T10:00:00.000000Z"'),
        ({"event": "orders/shipped", "version": "v2"}, None),
        ({"subscription": "sub_a"}, 'subscription = "accounts/1/subscriptions/sub_a"'),
        ({"order": "12"}, 'resource = "orders/12"'),
        ({"order": "orders/12"}, 'resource = "orders/12"'),
        (
            {"code": 503, "kind": "http_status"},
            "response_code = 503 AND failure_kind = HTTP_STATUS",
        ),
        ({"failed": True, "filter": "sequence > 1"}, "state = FAILED AND sequence > 1"),
    ],
)
def test_flags_choose_deliveries(values: dict[str, Any], text: str | None) -> None:
    """
    Each flag is a comparison.
    """
    expected = 'event_type = "orders/shipped" AND payload_version = "v2"' if text is None else text

    assert delivery_filter(given(DELIVERIES, **values), NOW, full) == expected


def test_two_states_are_refused() -> None:
    """
    A delivery has one.
    """
    with pytest.raises(ValueError, match="--failed"):
        delivery_filter(given(DELIVERIES, failed=True, state="pending"), NOW, full)


def test_failed_attempts_are_all_that_did_not_succeed() -> None:
    """
    Those too whose outcome is not known.
    """
    flags = given(ATTEMPTS, failed=True, since="2026-01-31")

    assert attempt_filter(flags, NOW, full) == (
        'start_time >= "2026-01-31T00:00:00.000000Z" AND status != SUCCESS'
    )


def described(**values: Any) -> tuple[Subscription, list[str]]:
    """
    Return the subscription of flags.
    """
    return subscription_of(
        given(FLAGS, **values),
        lambda collection, text: f"accounts/1/{collection}/{text}",
        lambda text: text.removeprefix("env:"),
    )


def test_flags_describe_a_subscription() -> None:
    """
    The mask has the fields that were given, the filter once.
    """
    found, paths = described(
        event="orders/shipped",
        url="https://a.example/x",
        header=["X-Token: env:secret", "X-Kept"],
        credential="crd_a",
        certificate="",
        retry="5s, 2m",
        ordered=False,
        trace_context=True,
        rate_limit=5,
        filter_store=["7"],
        filter_channel=["shopify"],
    )

    assert set(paths) == {
        "event_type",
        "url",
        "custom_headers",
        "credential",
        "client_certificate",
        "retry_schedule",
        "ordered",
        "trace_context",
        "rate_limit",
        "filter",
    }
    assert [(it.name, it.value) for it in found.custom_headers] == [
        ("X-Token", "secret"),
        ("X-Kept", ""),
    ]
    assert found.credential == "accounts/1/credentials/crd_a"
    assert [it.seconds for it in found.retry_schedule.delays] == [5, 120]
    assert list(found.filter.store_ids) == [7]
    assert list(found.filter.channels) == ["shopify"]


def test_without_flags_nothing_is_changed() -> None:
    """
    The mask is empty.
    """
    assert described() == (Subscription(), [])


@pytest.mark.parametrize(
    ("values", "flag"),
    [
        ({"retry": "soon"}, "--retry: 'soon' is no duration"),
        ({"filter_store": ["x"]}, "--filter-store: "),
        ({"deactivate_after": "x"}, "--deactivate-after: "),
        ({"rate_limit": 2**40}, "--rate-limit: "),
    ],
)
def test_what_cannot_be_read_is_named(values: dict[str, Any], flag: str) -> None:
    """
    The message begins with the flag.
    """
    with pytest.raises(ValueError, match=flag):
        described(**values)
