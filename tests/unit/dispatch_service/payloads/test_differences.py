"""
Differences between payload versions, shown on an event.
"""

from __future__ import annotations

import pytest

from dispatch_service.payloads import CONTRACTS, example_event, schema
from dispatch_service.payloads.core.leaves import Leaf, leaves
from dispatch_service.payloads.differences import Comparison, Difference, Kind, compare


def compared(event_type: str, before: str, after: str) -> Comparison:
    """
    Compare two versions on the example of an event type.
    """
    return compare(example_event(event_type), event_type, before, after)


def by_path(found: Comparison) -> dict[str, Difference]:
    """
    Index differences by their path in the first version, otherwise by that in the second.
    """
    return {it.before.path or it.after.path: it for it in found.differences}


def test_money_becomes_text() -> None:
    """
    The documented total has another path and another type in version 3.
    """
    total = by_path(compared("orders/shipped", "v2", "v3"))["total"]
    assert total.kind is Kind.RETYPED
    assert total.before == ("total", "number or null", "59.98")
    assert total.after == ("data.order.totals.subtotal.amount", "string or null", '"59.98"')


def test_moved_field_is_renamed() -> None:
    """
    A field with another path and the same value is renamed, in both directions.
    """
    forth = by_path(compared("orders/shipped", "v2", "v3"))["customer.address.zip"]
    back = by_path(compared("orders/shipped", "v3", "v2"))["data.order.shipping_address.zip"]
    assert (forth.kind, back.kind) == (Kind.RENAMED, Kind.RENAMED)
    assert forth.after == back.before
    assert forth.before == back.after


def test_field_of_one_version_is_added_or_removed() -> None:
    """
    A field of only one version is added, or removed in the other direction.
    """
    forth = by_path(compared("orders/refund", "v1", "v2"))["items[].sku"]
    back = by_path(compared("orders/refund", "v2", "v1"))["items[].sku"]
    assert (forth.kind, forth.before.path) == (Kind.ADDED, "")
    assert (back.kind, back.after.path) == (Kind.REMOVED, "")


def test_field_that_moves_into_a_list_is_found() -> None:
    """
    A field is found even if only one version has it in a list.
    """
    found = by_path(compared("inventory/mirror", "v1", "v2"))
    assert found["quantity"].after.path == "items[].quantity_available"
    assert found["sku"].kind is Kind.RENAMED


@pytest.mark.parametrize(("event_type", "version"), CONTRACTS)
def test_version_does_not_differ_from_itself(event_type: str, version: str) -> None:
    """
    A version has no differences from itself.
    """
    found = compared(event_type, version, version)
    assert found.differences == []
    assert found.before == found.after


@pytest.mark.parametrize(("event_type", "version"), CONTRACTS)
def test_differences_name_existing_fields_once(event_type: str, version: str) -> None:
    """
    Differences name only fields that exist, and each field of the first version once.
    """
    for other in CONTRACTS:
        if other[0] != event_type or other[1] == version:
            continue
        found = compared(event_type, version, other[1]).differences
        before = [it.path for it in leaves(schema(event_type, version))]
        after = [it.path for it in leaves(schema(*other))]
        removed = [it.before.path for it in found if it.kind is Kind.REMOVED]
        added = [it.after.path for it in found if it.kind is Kind.ADDED]
        assert set(removed) <= set(before)
        assert set(added) <= set(after)
        assert len({it.before.path for it in found if it.before.path}) == len(
            [it for it in found if it.before.path]
        )


def test_leaf_has_path_type_and_description() -> None:
    """
    A leaf has path, type and description; lists and null are marked.
    """
    found = {it.path: it for it in leaves(schema("inventory/mirror", "v3"))}
    assert found["data.mode"] == Leaf("data.mode", "string", "Only what changed is sent.")
    assert found["data.levels[].upc"].type == "string or null"
    assert found["data.levels[].upc"].plain_path == "data.levels.upc"
    assert found["occurred_at"].type == "string (date-time)"
