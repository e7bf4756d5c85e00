"""
Names of owners and resources, as people write them on a command line.
"""

from __future__ import annotations

from typing import Final

_OWNERS: Final = ("accounts", "warehouses")
_PARTS_OF_OWNER: Final = 2


def owner_name(text: str) -> str:
    """
    Read an owner: `accounts/100`, `warehouses/W1`, or `100` for an account.

    Raises `ValueError` that says what is allowed.
    """
    if text.isdecimal():
        return f"accounts/{text}"
    kind, _, rest = text.partition("/")
    if kind not in _OWNERS or not rest or "/" in rest:
        raise ValueError(f"{text!r} is no owner: accounts/100, warehouses/W1 or 100, for example")
    return text


def event_type_name(event_type: str) -> str:
    """
    Return the name of an event type from it or its name.
    """
    return f"eventTypes/{event_type.removeprefix('eventTypes/')}"


def all_deliveries(owner: str) -> str:
    """
    Return the name that stands for all deliveries of an owner.
    """
    return f"{owner}/deliveries/-"


def settings_name(owner: str) -> str:
    """
    Return the name of the settings of an owner.
    """
    return f"{owner}/settings"


def caller_name(text: str) -> str:
    """
    Return the name of a caller from it or its id.
    """
    return f"callers/{text.removeprefix('callers/')}"


def is_wildcard(owner: str) -> bool:
    """
    Tell whether an owner stands for all accounts or all warehouses.
    """
    return owner.endswith("/-")


def account_of(owner: str) -> int:
    """
    Return the number of an account. Raises `ValueError` for other owners.
    """
    kind, _, number = owner.partition("/")
    if kind != "accounts" or not number.isdecimal():
        raise ValueError(f"--owner: events happen in an account, accounts/100 say, not in {owner}")
    return int(number)


def warehouse_name(warehouse: str) -> str:
    """
    Return the name of a warehouse as an owner.
    """
    return owner_name(f"warehouses/{warehouse.removeprefix('warehouses/')}")


def resource_name(collection: str, owner: str, text: str) -> str:
    """
    Return the full name of a resource from its name or its last part, `sub_7f3a`.

    Raises `ValueError` if that needs an owner, and *owner* is empty or stands for many.
    """
    if text.partition("/")[0] in _OWNERS:
        return text
    identifier = text.removeprefix(f"{collection}/")
    if not owner or is_wildcard(owner):
        raise ValueError(f"{text!r} is the last part of a name: say of which owner with --owner")
    return f"{owner}/{collection}/{identifier}"


def attempt_name(owner: str, text: str) -> str:
    """
    Return the full name of an attempt from its name or `dlv_7f3a/1`. Raises `ValueError`.
    """
    if text.partition("/")[0] in _OWNERS:
        return text
    delivery, slash, number = text.rpartition("/")
    if not slash or not number.isdecimal():
        raise ValueError(f"{text!r} is no attempt: its delivery and number, dlv_7f3a/1, say")
    return f"{resource_name('deliveries', owner, delivery)}/attempts/{number}"


def short_name(name: str) -> str:
    """
    Return a name without its owner and collections: `sub_7f3a`, `dlv_7f3a/1`.
    """
    parts = name.split("/")
    if parts[0] not in _OWNERS or len(parts) <= _PARTS_OF_OWNER:
        return name
    return "/".join(parts[3::2])


def is_replay_job(text: str) -> bool:
    """
    Tell whether the id or name of a job is that of a replay: its id begins with `rpj_`.
    """
    return text.rpartition("/")[2].startswith("rpj_")


def split_name(name: str) -> tuple[str, str]:
    """
    Return the owner and the id of a resource directly under an owner.
    """
    return owner_of(name), name.rpartition("/")[2]


def owner_of(name: str) -> str:
    """
    Return the owner that a name begins with.
    """
    return "/".join(name.split("/")[:_PARTS_OF_OWNER])
