"""
Resource names.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service_runtime.rpc import names
from service_runtime.rpc.errors import InvalidArgument
from service_runtime.rpc.names import Name

DELIVERY = f"dlv_{'0' * 31}a"


@pytest.mark.parametrize(
    ("kind", "text", "wanted"),
    [
        ("owner", "accounts/100", Name("accounts/100", "")),
        ("owner", "warehouses/wh1", Name("warehouses/wh1", "")),
        ("subscription", "accounts/1/subscriptions/sub_1", Name("accounts/1", "sub_1")),
        ("settings", "warehouses/w/settings", Name("warehouses/w", "settings")),
        ("event", "accounts/1/events/A-b_9", Name("accounts/1", "A-b_9")),
        ("delivery", f"accounts/1/deliveries/{DELIVERY}", Name("accounts/1", DELIVERY)),
        (
            "attempt",
            f"accounts/1/deliveries/{DELIVERY}/attempts/12",
            Name("accounts/1", DELIVERY, 12),
        ),
        ("event_type", "eventTypes/orders.shipped", Name("", "orders.shipped")),
        ("caller", "callers/back-office", Name("", "back-office")),
    ],
)
def test_parses(kind: str, text: str, wanted: Name) -> None:
    """
    A name is read into whose it is and what it is.
    """
    assert names.parse(kind, text) == wanted


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("owner", "accounts/0"),
        ("owner", "accounts/007"),
        ("owner", "accounts/9007199254740992"),
        ("owner", "accounts/1/"),
        ("owner", "accounts/-"),
        ("owner", "account/1"),
        ("owner", "warehouses/"),
        ("owner", "warehouses/a b"),
        ("owner", "accounts/1\n"),
        ("subscription", "accounts/1/subscriptions/"),
        ("subscription", "accounts/1/subscriptions/Sub_1"),
        ("subscription", "accounts/1/subscriptions/a/b"),
        ("event", "warehouses/w/events/e"),
        ("delivery", "accounts/1/deliveries/dlv_0"),
        ("attempt", f"accounts/1/deliveries/{DELIVERY}/attempts/0"),
        ("event_type", "eventTypes/orders/shipped"),
    ],
)
def test_refuses(kind: str, text: str) -> None:
    """
    What is not a name is refused with the field and what it must be.
    """
    with pytest.raises(InvalidArgument) as raised:
        names.parse(kind, text, "thing")

    assert raised.value.faults[0].field == "thing"
    assert raised.value.faults[0].description.startswith("must be ")


def test_wildcards() -> None:
    """
    A dash stands for all where a list allows it, nowhere else.
    """
    assert names.parse_parent("accounts/-", wildcard=True) == "accounts/-"
    with pytest.raises(InvalidArgument):
        names.parse_parent("accounts/-")
    assert names.parse_attempts_parent("accounts/1/deliveries/-") == Name("accounts/1", "")


@given(st.sampled_from(sorted(names._KINDS)), st.text())
def test_nothing_but_the_typed_error(kind: str, text: str) -> None:
    """
    Whatever is given, it is a name or a clear refusal.
    """
    try:
        names.parse(kind, text)
        names.parse(kind, f"accounts/{text}")
    except InvalidArgument:
        pass
