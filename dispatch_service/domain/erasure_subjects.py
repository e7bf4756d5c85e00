"""
The order and the customer of an event, by which erasure and people find it. No I/O, no clock.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

PURPOSE = "customer e-mail"
"""
The purpose of the keyed hash of e-mail addresses, so that it equals no other hash.
"""

ORDER_NUMBER_PURPOSE = "order number"
"""
The purpose of the keyed hash of order numbers.
"""


class Subject(msgspec.Struct, frozen=True, gc=False):
    """
    The order that an event is about, and the hashes of the customer's e-mail address and of the
    order's number, where it has them.
    """

    order_id: int | None = None
    email_hash: bytes | None = None
    order_number_hash: bytes | None = None


Hashed = Callable[[str, str], bytes]
"""
Hashes a value for a purpose.
"""


def subject_of(payload: Any, hashed: Hashed) -> Subject:
    """
    Return the subject of a payload. That of a return is the original order.
    """
    order = getattr(payload, "order", None)
    if order is not None:
        order_id, customer = order.id, order.customer
    else:
        returned = getattr(payload, "return_order", None)
        if returned is None:
            return Subject()
        order, customer = returned.original_order, returned.customer
        order_id = order.id or None
    email, number = customer.email, order.number
    return Subject(
        order_id,
        email_hash(hashed, email) if email else None,
        order_number_hash(hashed, number) if number else None,
    )


def email_hash(hashed: Hashed, email: str) -> bytes:
    """
    Hash an e-mail address, regardless of case and surrounding space.
    """
    return hashed(PURPOSE, email.strip().casefold())


def subject_hash(hashed: Hashed, kind: str, value: str) -> str:
    """
    Return 16 hex digits that tell one subject of an erasure from others, of every *kind*, and do
    not say whom it is. A key is needed to find out whether it is of a known *value*.
    """
    return hashed("subject of an erasure", f"{kind}:{value.strip().casefold()}")[:8].hex()


def order_number_hash(hashed: Hashed, number: str) -> bytes:
    """
    Hash the number of an order, regardless of case and surrounding space.
    """
    return hashed(ORDER_NUMBER_PURPOSE, number.strip().casefold())
