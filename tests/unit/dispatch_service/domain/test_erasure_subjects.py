"""
Whom an event is about, for erasing.
"""

from __future__ import annotations

from typing import Any

import pytest

from dispatch_service.domain.erasure_subjects import (
    Subject,
    email_hash,
    order_number_hash,
    subject_hash,
    subject_of,
)
from dispatch_service.payloads import example_event
from service_runtime.keys.keyring import KeyRing


@pytest.mark.parametrize(
    ("kind", "value", "same"),
    [
        ("customer_email", " ann@example.com", True),
        ("customer_email", "bob@example.com", False),
        ("event_id", "Ann@Example.com", False),
    ],
)
def test_subjects_differ_by_their_hashes(kind: str, value: str, *, same: bool) -> None:
    """
    One customer has one hash, however the address is written, and no other has it.
    """
    ring = KeyRing({"test": b"k" * 32}, b"h" * 32)
    ann = subject_hash(ring.keyed_hash, "customer_email", "Ann@Example.com")

    assert (subject_hash(ring.keyed_hash, kind, value) == ann) is same
    assert len(ann) == 16


def payload_of(event_type: str) -> Any:
    """
    Return the payload of the documented event.
    """
    event = example_event(event_type)
    return getattr(event, event.WhichOneof("payload") or "")


def with_customer(event_type: str) -> Any:
    """
    Make the documented payload of an order with a customer of known address.
    """
    payload = payload_of(event_type)
    if hasattr(payload, "order"):
        order = payload.order
        order.customer.email = "Ann@Example.com"
    else:
        order = payload.return_order.original_order
        payload.return_order.customer.email = "Ann@Example.com"
    order.id, order.number = 77, "SO-7"
    return payload


def hashed(purpose: str, value: str) -> bytes:
    """
    Stand for the keyed hash, readably.
    """
    return f"{purpose}:{value}".encode()


@pytest.mark.parametrize(
    "event_type",
    ["orders/shipped", "orders/updated_by_oms", "orders/refund", "returns/simple_initiated"],
)
def test_orders_and_returns_have_a_subject(event_type: str) -> None:
    """
    What is about an order is found by its id, its number and its customer's address.
    """
    address = email_hash(hashed, "Ann@Example.com")
    expected = Subject(77, address, order_number_hash(hashed, "so-7 "))

    assert subject_of(with_customer(event_type), hashed) == expected


@pytest.mark.parametrize("event_type", ["inventory/corrections", "replenishments/initiated"])
def test_other_events_are_about_nobody(event_type: str) -> None:
    """
    Stock has no customer.
    """
    assert subject_of(payload_of(event_type), hashed) == Subject()


def test_address_is_compared_without_case_and_space() -> None:
    """
    However an address is written, it is the same person's.
    """
    assert email_hash(hashed, " Ann@Example.com ") == email_hash(hashed, "ann@example.COM")
    assert email_hash(hashed, "ann@example.com") != email_hash(hashed, "bob@example.com")
