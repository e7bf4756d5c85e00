"""
Resource names. No other module puts them together or takes them apart.

For each kind of resource there is a function that writes its name from the parts as they are
stored; `parse` returns the same parts. Ids of deliveries and jobs have a prefix in names
alone.
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

DELIVERY_PREFIX = "dlv_"
"""
The prefix of delivery ids in names and in the header `webhook-id`.
"""

JOB_PREFIX, REPLAY_PREFIX = "rsj_", "rpj_"
"""
The prefixes of the ids of resend and replay jobs in names.
"""

ID_RULE = "must be 4 to 40 of a-z 0-9 _ -, beginning with a letter"
"""
The rule on ids that callers choose, for people.
"""

_ACCOUNTS = "accounts/"
_WAREHOUSES = "warehouses/"
_ACCOUNT = r"[1-9][0-9]{0,15}"
_WAREHOUSE = r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}"
_OWNER = rf"accounts/{_ACCOUNT}|warehouses/{_WAREHOUSE}"
_NUMBER = r"(?P<number>[1-9][0-9]{0,8})"
_CHOSEN_ID = r"[a-z][a-z0-9_-]{3,39}"
_UUID = r"(?P<id>[0-9a-f]{32})"

# For each kind of resource: how errors show its name, and the pattern of its parts.
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
    "signing_key": (
        "{owner}/signingKeys/{signing_key}",
        rf"(?P<owner>{_OWNER})/signingKeys/(?P<id>{_CHOSEN_ID})",
    ),
    "settings": ("{owner}/settings", rf"(?P<owner>{_OWNER})/settings"),
    "event": (
        "accounts/{account}/events/{event}",
        rf"(?P<owner>accounts/{_ACCOUNT})/events/(?P<id>[A-Za-z0-9_-]{{1,64}})",
    ),
    "delivery": (
        "{owner}/deliveries/{delivery}",
        rf"(?P<owner>{_OWNER})/deliveries/{DELIVERY_PREFIX}{_UUID}",
    ),
    "attempt": (
        "{owner}/deliveries/{delivery}/attempts/{attempt}",
        rf"(?P<owner>{_OWNER})/deliveries/{DELIVERY_PREFIX}{_UUID}/attempts/{_NUMBER}",
    ),
    "resend_job": (
        "{owner}/resendJobs/{resend_job}",
        rf"(?P<owner>{_OWNER})/resendJobs/{JOB_PREFIX}{_UUID}",
    ),
    "replay_job": (
        "{owner}/replayJobs/{replay_job}",
        rf"(?P<owner>{_OWNER})/replayJobs/{REPLAY_PREFIX}{_UUID}",
    ),
    "event_type": ("eventTypes/{event_type}", r"eventTypes/(?P<id>[a-z_]+/[a-z_]+)"),
    "caller": ("callers/{caller}", rf"callers/(?P<id>{_CHOSEN_ID})"),
}
_ALL_OF = {"subscription": "/subscriptions/-", "delivery": "/deliveries/-"}
_PATTERNS = {kind: re.compile(pattern) for kind, (_, pattern) in _KINDS.items()}
_ID = re.compile(_CHOSEN_ID)
_WAREHOUSE_ID = re.compile(_WAREHOUSE)


def account(account_id: int) -> str:
    return f"accounts/{account_id}"


def warehouse(warehouse_id: str) -> str:
    return f"warehouses/{warehouse_id}"


def subscription(owner: str, subscription_id: str) -> str:
    return f"{owner}/subscriptions/{subscription_id}"


def credential(owner: str, credential_id: str) -> str:
    return f"{owner}/credentials/{credential_id}"


def client_certificate(owner: str, certificate_id: str) -> str:
    return f"{owner}/clientCertificates/{certificate_id}"


def signing_key(owner: str, signing_key_id: str) -> str:
    return f"{owner}/signingKeys/{signing_key_id}"


def settings(owner: str) -> str:
    return f"{owner}/settings"


def event(account_id: int, event_id: str) -> str:
    return f"accounts/{account_id}/events/{event_id}"


def delivery(owner: str, delivery_id: str) -> str:
    """
    Name a delivery; its UUID may be written with hyphens.
    """
    return f"{owner}/deliveries/{DELIVERY_PREFIX}{delivery_id.replace('-', '')}"


def attempt(owner: str, delivery_id: str, number: int) -> str:
    return f"{delivery(owner, delivery_id)}/attempts/{number}"


def resend_job(owner: str, job_id: str) -> str:
    """
    Name a resend job; its UUID may be written with hyphens.
    """
    return f"{owner}/resendJobs/{JOB_PREFIX}{job_id.replace('-', '')}"


def replay_job(owner: str, job_id: str) -> str:
    """
    Name a replay job; its UUID may be written with hyphens.
    """
    return f"{owner}/replayJobs/{REPLAY_PREFIX}{job_id.replace('-', '')}"


def event_type(event_type: str) -> str:
    return f"eventTypes/{event_type}"


def caller(caller_id: str) -> str:
    return f"callers/{caller_id}"


def audit_entry(entry_id: str) -> str:
    """
    Name an entry of the audit log; its id may be a UUID with hyphens.
    """
    return f"auditEntries/{entry_id.replace('-', '')}"


@dataclass(frozen=True, slots=True)
class Name:
    """
    The parts of a resource name: the owner, the id, and the number of an attempt.

    *owner* and *id* are empty for kinds that have none.
    """

    owner: str
    id: str
    number: int = 0


def parse(kind: str, text: str, field: str = "name") -> Name:
    """
    Parse the name of a resource of *kind*, given in *field* of a request.

    Raises `InvalidArgument`, which shows the pattern of valid names.
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
    Return *text*, which must name an account or a warehouse. Raises `InvalidArgument`.
    """
    return parse("owner", text, field).owner


def all_owners(owner: str) -> str:
    """
    Return what stands for all owners of the kind of *owner*: `accounts/-` or `warehouses/-`.
    """
    return f"{owner.partition('/')[0]}/-"


def parse_parent(text: str, *, wildcard: bool = False, field: str = "parent") -> str:
    """
    Return the parent of a List. Raises `InvalidArgument`.

    With *wildcard*, `accounts/-` and `warehouses/-` are allowed for all of a kind.
    """
    if wildcard and text in {"accounts/-", "warehouses/-"}:
        return text
    return parse_owner(text, field)


def parse_or_all(kind: str, text: str, field: str = "name") -> Name:
    """
    Parse the name of a subscription or delivery, or `{owner}/{collection}/-`, which stands for
    all of an owner, and whose id is empty; the owner may be `accounts/-` or `warehouses/-` then.
    """
    owner, collection, rest = text.rpartition(_ALL_OF[kind])
    if collection and not rest:
        return Name(parse_parent(owner, wildcard=True, field=field), "")
    return parse(kind, text, field)


def is_wildcard(parent: str) -> bool:
    """
    Tell whether *parent*, which `parse_parent` returned, stands for all owners of a kind.
    """
    return parent in {f"{_ACCOUNTS}-", f"{_WAREHOUSES}-"}


def owner_of(name: str) -> str:
    """
    Return the owner in *name*, a valid name of a resource that has one.
    """
    kind, owner_id, *_ = name.split("/", 2)
    return f"{kind}/{owner_id}"


def owner_in(name: str) -> str:
    """
    Return the owner in *name*, a valid name of any resource; empty if that belongs to none.
    """
    return owner_of(name) if name.startswith((_ACCOUNTS, _WAREHOUSES)) else ""


def split(name: str) -> tuple[str, str]:
    """
    Split *name*, a valid `{owner}/{collection}/{id}`, into the owner and the id.
    """
    parent, _, resource_id = name.rpartition("/")
    return parent.rpartition("/")[0], resource_id


def account_number(owner: str) -> int:
    """
    Return the number of the account that *owner* is; 0 for a warehouse.
    """
    return int(owner[len(_ACCOUNTS) :]) if owner.startswith(_ACCOUNTS) else 0


def is_subscription(name: str) -> bool:
    """
    Tell whether *name*, a valid name of any kind, names a subscription.
    """
    return "/subscriptions/" in name


def is_warehouse(owner: str) -> bool:
    """
    Tell whether *owner* is a warehouse, not an account.
    """
    return owner.startswith(_WAREHOUSES)


def is_warehouse_id(text: str) -> bool:
    """
    Tell whether a warehouse may have *text* as its id.
    """
    return _WAREHOUSE_ID.fullmatch(text) is not None


def is_chosen_id(text: str) -> bool:
    """
    Tell whether callers may choose *text* as the id of a resource; `ID_RULE` says the rule.
    """
    return _ID.fullmatch(text) is not None


def _account_fits(text: str) -> bool:
    prefix, _, rest = text.partition("/")
    return prefix != "accounts" or int(rest.partition("/")[0]) <= LARGEST_ID
