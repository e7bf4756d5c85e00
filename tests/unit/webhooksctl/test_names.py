"""
Names as people write them on a command line.
"""

from __future__ import annotations

import pytest

from webhooksctl.rpc import names


@pytest.mark.parametrize(
    ("text", "owner"),
    [
        ("100", "accounts/100"),
        ("accounts/100", "accounts/100"),
        ("warehouses/W1", "warehouses/W1"),
        ("accounts/-", "accounts/-"),
    ],
)
def test_owners_are_read(text: str, owner: str) -> None:
    """
    A number is an account.
    """
    assert names.owner_name(text) == owner


@pytest.mark.parametrize("text", ["", "W1", "accounts/", "accounts/1/x", "stores/1"])
def test_what_is_no_owner_is_refused(text: str) -> None:
    """
    The refusal shows what is allowed.
    """
    with pytest.raises(ValueError, match="accounts/100, warehouses/W1 or 100"):
        names.owner_name(text)


@pytest.mark.parametrize(
    ("owner", "text", "name"),
    [
        ("accounts/1", "sub_a", "accounts/1/subscriptions/sub_a"),
        ("accounts/1", "subscriptions/sub_a", "accounts/1/subscriptions/sub_a"),
        ("accounts/1", "warehouses/W/subscriptions/sub_a", "warehouses/W/subscriptions/sub_a"),
        ("", "accounts/2/subscriptions/sub_a", "accounts/2/subscriptions/sub_a"),
    ],
)
def test_ids_and_names_name_a_resource(owner: str, text: str, name: str) -> None:
    """
    A full name counts more than the owner of the flag.
    """
    assert names.resource_name("subscriptions", owner, text) == name


@pytest.mark.parametrize("owner", ["", "accounts/-"])
def test_an_id_needs_one_owner(owner: str) -> None:
    """
    An id without an owner is refused, and the flag is named.
    """
    with pytest.raises(ValueError, match="--owner"):
        names.resource_name("subscriptions", owner, "sub_a")


def test_attempts_are_a_delivery_and_a_number() -> None:
    """
    Both forms name an attempt; a delivery alone does not.
    """
    full = "accounts/1/deliveries/dlv_a/attempts/2"

    assert names.attempt_name("accounts/1", "dlv_a/2") == full
    assert names.attempt_name("", full) == full
    with pytest.raises(ValueError, match="dlv_7f3a/1"):
        names.attempt_name("accounts/1", "dlv_a")


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("accounts/1/subscriptions/sub_a", "sub_a"),
        ("accounts/1/deliveries/dlv_a/attempts/2", "dlv_a/2"),
        ("callers/back-office", "callers/back-office"),
        ("accounts/1", "accounts/1"),
        ("", ""),
    ],
)
def test_short_names_can_be_read_again(name: str, short: str) -> None:
    """
    A table shows what commands take.
    """
    assert names.short_name(name) == short
