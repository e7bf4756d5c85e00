"""
Whom an event is about, as far as erasing has to find it. No I/O, no clock.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

PURPOSE = "customer e-mail"
"""
What the hash of an e-mail address is keyed for: no other hash equals it.
"""


class Subject(msgspec.Struct, frozen=True, gc=False):
    """
    The order that an event is about and the customer's e-mail address, where it has them.
    """

    order_id: int | None = None
    email: str = ""


def subject_of(payload: Any) -> Subject:
    """
    Find whom the payload of an event is about. A return is about the order that it comes from.
    """
    order = getattr(payload, "order", None)
    if order is not None:
        return Subject(order.id, order.customer.email)
    returned = getattr(payload, "return_order", None)
    if returned is not None:
        return Subject(returned.original_order.id or None, returned.customer.email)
    return Subject()


def email_hash(hashed: Callable[[str, str], bytes], email: str) -> bytes:
    """
    Hash an e-mail address; case and surrounding space do not matter.
    """
    return hashed(PURPOSE, email.strip().casefold())
