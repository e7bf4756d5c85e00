"""
Whom an event is about, as far as erasing has to find it. No I/O, no clock.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from shipedge.webhooks.events.v1 import event_pb2, order_pb2, return_order_pb2

PURPOSE = "customer e-mail"
"""
What the hash of an e-mail address is keyed for: no other hash equals it.
"""


@dataclass(frozen=True, slots=True)
class Subject:
    """
    The order that an event is about and the customer's e-mail address, where it has them.
    """

    order_id: int | None = None
    email: str = ""


def subject_of(event: event_pb2.Event) -> Subject:
    """
    Find whom an event is about. A return is about the order that it comes from.
    """
    payload = getattr(event, event.WhichOneof("payload") or "", None)
    found = getattr(payload, "order", None) or getattr(payload, "return_order", None)
    match found:
        case order_pb2.Order():
            return Subject(found.id, found.customer.email)
        case return_order_pb2.ReturnOrder():
            return Subject(found.original_order.id or None, found.customer.email)
    return Subject()


def email_hash(hashed: Callable[[str, str], bytes], email: str) -> bytes:
    """
    Hash an e-mail address; case and surrounding space do not matter.
    """
    return hashed(PURPOSE, email.strip().casefold())
