"""
The associated data of sealed values: table, row and column, so that a value opens nowhere else.
"""

from __future__ import annotations

from service_runtime.keys.keyring import AssociatedData

Contract = tuple[str, str]
"""
An event type and a payload version.
"""


def body(owner: str, account: int, event_id: str, contract: Contract) -> AssociatedData:
    return AssociatedData("bodies", (owner, str(account), event_id, *contract), "sealed_body")


def event(account: int, event_id: str) -> AssociatedData:
    return AssociatedData("events", (str(account), event_id), "sealed_payload")


def exchange(owner: str, delivery_id: str, number: int) -> AssociatedData:
    return AssociatedData("attempts", (owner, delivery_id, str(number)), "sealed_exchange")


def feed_resource(name: str) -> AssociatedData:
    return AssociatedData("feed_resources", (name,), "sealed")


def url(owner: str, url_hash: bytes) -> AssociatedData:
    return AssociatedData("urls", (owner, url_hash.hex()), "sealed_url")


def day_key(day: int) -> AssociatedData:
    return AssociatedData("day_keys", (str(day),), "wrapped_key")
