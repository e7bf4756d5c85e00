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
    The order of an event and the e-mail address of its customer; None and empty without them.
    """

    order_id: int | None = None
    email: str = ""


def subject_of(payload: Any) -> Subject:
    """
    Return the subject of a payload. That of a return is the original order.
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
    Hash an e-mail address, regardless of case and surrounding space.
    """
    return hashed(PURPOSE, email.strip().casefold())
