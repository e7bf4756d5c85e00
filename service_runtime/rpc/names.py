"""
Resource names: parsed and written here alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from service_runtime.rpc.errors import FieldFault, InvalidArgument

LARGEST_ID = 2**53 - 1
"""
The largest number that every JSON reader can hold exactly.
"""

_ACCOUNT = r"[1-9][0-9]{0,15}"
_WAREHOUSE = r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}"
_OWNER = rf"accounts/{_ACCOUNT}|warehouses/{_WAREHOUSE}"
_NUMBER = r"(?P<number>[1-9][0-9]{0,8})"
_CHOSEN_ID = r"[a-z][a-z0-9_-]{3,39}"

# For each kind of resource: how it is shown in errors, and the pattern of its parts.
_KINDS: Mapping[str, tuple[str, str]] = {
    "owner": ("accounts/{account} or warehouses/{warehouse}", rf"(?P<owner>{_OWNER})"),
    "subscription": (
        "{owner}/subscriptions/{subscription}",
        rf"(?P<owner>{_OWNER})/subscriptions/(?P<id>{_CHOSEN_ID})",
    ),
    "credential": (
        "{owner}/credentials/{credential}",
        rf"(?P<owner>{_OWNER})/credentials/(?P<id>{_CHOSEN_ID})",
    ),
    "client_certificate": (
        "{owner}/clientCertificates/{client_certificate}",
        rf"(?P<owner>{_OWNER})/clientCertificates/(?P<id>{_CHOSEN_ID})",
    ),
    "settings": ("{owner}/settings", rf"(?P<owner>{_OWNER})/(?P<id>settings)"),
    "event": (
        "accounts/{account}/events/{event}",
        rf"(?P<owner>accounts/{_ACCOUNT})/events/(?P<id>[A-Za-z0-9_-]{{1,64}})",
    ),
    "delivery": (
        "{owner}/deliveries/{delivery}",
        rf"(?P<owner>{_OWNER})/deliveries/(?P<id>dlv_[0-9a-f]{{32}})",
    ),
    "attempt": (
        "{owner}/deliveries/{delivery}/attempts/{attempt}",
        rf"(?P<owner>{_OWNER})/deliveries/(?P<id>dlv_[0-9a-f]{{32}})/attempts/{_NUMBER}",
    ),
    "resend_job": (
        "{owner}/resendJobs/{resend_job}",
        rf"(?P<owner>{_OWNER})/resendJobs/(?P<id>rsj_[0-9a-f]{{32}})",
    ),
    "event_type": ("eventTypes/{event_type}", r"eventTypes/(?P<id>[a-z_]+\.[a-z_]+)"),
    "caller": ("callers/{caller}", rf"callers/(?P<id>{_CHOSEN_ID})"),
}
_PATTERNS = {kind: re.compile(pattern) for kind, (_, pattern) in _KINDS.items()}
_ID = re.compile(_CHOSEN_ID)
ID_RULE = "must be 4 to 40 of a-z 0-9 _ -, beginning with a letter"


@dataclass(frozen=True, slots=True)
class Name:
    """
    A parsed resource name: whose it is, its last part, and an attempt's number.
    """

    owner: str
    id: str
    number: int = 0


def parse(kind: str, text: str, field: str = "name") -> Name:
    """
    Parse the name of a resource of *kind*, given in *field* of a request.

    Raises `InvalidArgument` that says what it must look like.
    """
    found = _PATTERNS[kind].fullmatch(text)
    if found is None or not _account_fits(text):
        raise InvalidArgument(
            "The request is not valid.",
            faults=[FieldFault(field, f"must be {_KINDS[kind][0].replace('{owner}', '{parent}')}")],
        )
    parts = found.groupdict()
    return Name(parts.get("owner", ""), parts.get("id", ""), int(parts.get("number", 0)))


def parse_owner(text: str, field: str = "parent") -> str:
    """
    Check that *text* names an account or a warehouse and return it.
    """
    return parse("owner", text, field).owner


def parse_parent(text: str, *, wildcard: bool = False, field: str = "parent") -> str:
    """
    Check the parent of a List; where *wildcard* is set, all accounts or warehouses too.
    """
    if wildcard and text in {"accounts/-", "warehouses/-"}:
        return text
    return parse_owner(text, field)


def parse_attempts_parent(text: str) -> Name:
    """
    Parse the parent of attempts: a delivery, or all of an owner's, whose id is then empty.
    """
    owner, found, rest = text.partition("/deliveries/")
    if found and rest == "-":
        return Name(parse_owner(owner), "")
    return parse("delivery", text, "parent")


def account_number(owner: str) -> int:
    """
    Return the number of the account that *owner* is; 0 for a warehouse.
    """
    prefix, _, number = owner.partition("/")
    return int(number) if prefix == "accounts" else 0


def is_chosen_id(text: str) -> bool:
    """
    Tell whether *text* may be the last part of a name that its creator chose.
    """
    return _ID.fullmatch(text) is not None


def _account_fits(text: str) -> bool:
    prefix, _, rest = text.partition("/")
    return prefix != "accounts" or int(rest.partition("/")[0]) <= LARGEST_ID
