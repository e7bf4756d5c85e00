"""
The order and the customer of an event, by which erasure finds it. No I/O, no clock.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

PURPOSE = "customer e-mail"
"""
The purpose of the keyed hash of e-mail addresses, so that it equals no other hash.
"""


class Subject(msgspec.Struct, frozen=True, gc=False):
    """
    The order that an event is about and the hash of the customer's e-mail address, where it has
    them.
    """

    order_id: int | None = None
    email_hash: bytes | None = None


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
        order_id, email = order.id, order.customer.email
    else:
        returned = getattr(payload, "return_order", None)
        if returned is None:
            return Subject()
        order_id, email = returned.original_order.id or None, returned.customer.email
    return Subject(order_id, email_hash(hashed, email) if email else None)


def email_hash(hashed: Hashed, email: str) -> bytes:
    """
    Hash an e-mail address, regardless of case and surrounding space.
    """
    return hashed(PURPOSE, email.strip().casefold())
