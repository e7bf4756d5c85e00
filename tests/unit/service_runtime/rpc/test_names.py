"""
Resource names.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service_runtime.rpc import names
from service_runtime.rpc.errors import InvalidArgument
from service_runtime.rpc.names import Name

UUID = "0" * 31 + "a"
DELIVERY = f"dlv_{UUID}"
OWNERS = ("accounts/9007199254740991", "warehouses/WH-1_a")


@pytest.mark.parametrize(
    ("kind", "text", "wanted"),
    [
        ("owner", "accounts/100", Name("accounts/100", "")),
        ("owner", "warehouses/wh1", Name("warehouses/wh1", "")),
        ("subscription", "accounts/1/subscriptions/sub_1", Name("accounts/1", "sub_1")),
        ("settings", "warehouses/w/settings", Name("warehouses/w", "")),
        ("event", "accounts/1/events/A-b_9", Name("accounts/1", "A-b_9")),
        ("delivery", f"accounts/1/deliveries/{DELIVERY}", Name("accounts/1", UUID)),
        (
            "attempt",
            f"accounts/1/deliveries/{DELIVERY}/attempts/12",
            Name("accounts/1", UUID, 12),
        ),
        ("event_type", "eventTypes/orders/shipped", Name("", "orders/shipped")),
        ("caller", "callers/back-office", Name("", "back-office")),
    ],
)
def test_parses(kind: str, text: str, wanted: Name) -> None:
    """
    A name is parsed into its owner, its id and its number.
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
        ("event_type", "eventTypes/orders.shipped"),
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
    assert names.parse_or_all("delivery", "accounts/1/deliveries/-") == Name("accounts/1", "")
    assert names.parse_or_all("subscription", "accounts/-/subscriptions/-") == Name(
        "accounts/-", ""
    )
    assert names.parse_or_all("subscription", "warehouses/w/subscriptions/-") == Name(
        "warehouses/w", ""
    )
    assert names.parse_or_all("subscription", "accounts/1/subscriptions/sub_1") == Name(
        "accounts/1", "sub_1"
    )
    with pytest.raises(InvalidArgument):
        names.parse_or_all("subscription", "accounts/-/subscriptions/sub_1")
    assert names.all_owners("warehouses/w") == "warehouses/-"


@pytest.mark.parametrize("owner", OWNERS)
@pytest.mark.parametrize(
    ("kind", "write"),
    [
        ("subscription", names.subscription),
        ("credential", names.credential),
        ("client_certificate", names.client_certificate),
    ],
)
def test_owned_names_are_parsed_and_split_as_they_are_written(
    owner: str, kind: str, write: Callable[[str, str], str]
) -> None:
    """
    Parsing and splitting a written name return the parts that it was written from.
    """
    written = write(owner, "some_id")

    assert names.parse(kind, written) == Name(owner, "some_id")
    assert names.split(written) == (owner, "some_id")
    assert names.owner_of(written) == owner
    assert names.is_subscription(written) == (kind == "subscription")


@pytest.mark.parametrize("owner", OWNERS)
def test_ids_have_their_prefix_in_names_alone(owner: str) -> None:
    """
    Ids of deliveries and jobs are parsed as they are stored, without hyphens.
    """
    stored = str(uuid.UUID(UUID))

    assert names.parse("delivery", names.delivery(owner, stored)) == Name(owner, UUID)
    assert names.parse("attempt", names.attempt(owner, stored, 3)) == Name(owner, UUID, 3)
    assert names.parse("resend_job", names.resend_job(owner, stored)) == Name(owner, UUID)
    assert names.parse("replay_job", names.replay_job(owner, stored)) == Name(owner, UUID)
    assert names.audit_entry(stored) == f"auditEntries/{UUID}"


def test_other_names_are_parsed_as_they_are_written() -> None:
    """
    The same holds for owners, settings, events, callers and event types.
    """
    assert names.parse_owner(names.account(7)) == "accounts/7"
    assert names.parse_owner(names.warehouse("WH")) == "warehouses/WH"
    assert names.parse("settings", names.settings("warehouses/WH")) == Name("warehouses/WH", "")
    assert names.owner_of(names.settings("warehouses/WH")) == "warehouses/WH"
    assert names.parse("event", names.event(7, "e-1")) == Name("accounts/7", "e-1")
    assert names.parse("caller", names.caller("ann_b")) == Name("", "ann_b")
    assert names.parse("event_type", names.event_type("orders/shipped")).id == "orders/shipped"


def test_accounts_have_numbers_and_warehouses_have_none() -> None:
    """
    The kind of an owner follows from its name alone.
    """
    assert names.account_number("accounts/42") == 42
    assert names.account_number("warehouses/42") == 0
    assert names.is_warehouse("warehouses/42")
    assert not names.is_warehouse("accounts/42")


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
