"""
Where sealed values lie: what binds each to its table, row and column.
"""

from __future__ import annotations

from service_runtime.keys.keyring import Place

Contract = tuple[str, str]


def body_place(owner: str, account: int, event_id: str, contract: Contract) -> Place:
    """
    Say where a sealed body lies, so that it opens nowhere else.
    """
    return Place("bodies", (owner, str(account), event_id, *contract), "sealed_body")


def event_place(account: int, event_id: str) -> Place:
    """
    Say where a sealed event lies, so that it opens nowhere else.
    """
    return Place("events", (str(account), event_id), "sealed_payload")


def exchange_place(owner: str, delivery_id: str, number: int) -> Place:
    """
    Say where a sealed exchange lies, so that it opens nowhere else.
    """
    return Place("attempts", (owner, delivery_id, str(number)), "sealed_exchange")


def resource_place(name: str) -> Place:
    """
    Say where a resource of the snapshot lies.
    """
    return Place("feed_resources", (name,), "sealed")


def day_key_place(day: int) -> Place:
    """
    Say where the key of a day lies.
    """
    return Place("day_keys", (str(day),), "wrapped_key")
