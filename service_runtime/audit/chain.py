"""
The chain of audit entries. No I/O, no clock.

Each entry has two codes under a key of the chain: one of its content, and one of its position,
its content's code and the chain code of the entry before. The head has a code of its own, so
that entries that are missing at the end are noticed, too.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec

from service_runtime.database.instants import to_microseconds
from service_runtime.keys.macs import Mac

NOTHING = b""
"""
Stands for the chain code of the entry before, where there is none.
"""


class Content(msgspec.Struct, frozen=True, gc=False):
    """
    What an entry says. *changes* is JSON.
    """

    audit_entry_id: str
    owner: str
    create_time: datetime
    caller: str
    method: str
    resource: str
    changes: str


class ChainedRow(Content, frozen=True, gc=False):
    """
    An entry as it is stored, with its place in the chain. An entry of the chain has all of the
    last four values.
    """

    position: int | None
    audit_key_id: str | None
    content_mac: bytes | None
    chain_mac: bytes | None


class Link(NamedTuple):
    """
    A place in the chain: the position of an entry, and its chain code.
    """

    position: int
    mac: bytes


class Head(msgspec.Struct, frozen=True, gc=False):
    """
    Where the chain ends and begins. Entries up to *pruned_position* were deleted by age; those
    up to *adopted_position* were written before there was a chain.
    """

    position: int
    chain_mac: bytes
    pruned_position: int
    pruned_mac: bytes
    adopted_position: int
    audit_key_id: str
    head_mac: bytes

    @property
    def last(self) -> Link:
        """
        The last entry.
        """
        return Link(self.position, self.chain_mac)

    @property
    def pruned(self) -> Link:
        """
        The last entry that was deleted by age.
        """
        return Link(self.pruned_position, self.pruned_mac)


class FaultKind(enum.Enum):
    """
    How an entry, or the head, does not fit; names are those of the contract.
    """

    MISSING = "MISSING"
    CHANGED = "CHANGED"
    OUT_OF_ORDER = "OUT_OF_ORDER"
    UNCHAINED = "UNCHAINED"
    RESTARTED = "RESTARTED"
    KEY_MISSING = "KEY_MISSING"
    HEAD_CHANGED = "HEAD_CHANGED"


class Fault(NamedTuple):
    """
    The first place that does not fit. *audit_entry_id* is empty where there is no entry.
    """

    position: int
    kind: FaultKind
    audit_entry_id: str = ""


class Checked(NamedTuple):
    """
    How far entries fit, and what does not fit behind that.
    """

    through: Link
    fault: Fault | None


Keys = Mapping[str, Mac]
"""
The keys of a chain by their ids.
"""


def content_mac(key: Mac, content: Content) -> bytes:
    """
    Authenticate what an entry says, wherever it stands.
    """
    parts = (
        content.audit_entry_id.replace("-", ""),
        content.owner,
        to_microseconds(content.create_time),
        content.caller,
        content.method,
        content.resource,
        content.changes,
    )
    return _code(key, "entry", *parts)


def chain_mac(key: Mac, position: int, before: bytes, content_code: bytes) -> bytes:
    """
    Authenticate that an entry with *content_code* follows the one with the chain code *before*.
    """
    return _code(key, "chain", position, before, content_code)


def head_mac(key: Mac, head: Head) -> bytes:
    """
    Authenticate the head, whatever its present code.
    """
    parts = (
        head.position,
        head.chain_mac,
        head.pruned_position,
        head.pruned_mac,
        head.adopted_position,
    )
    return _code(key, "head", *parts)


def head_fits(head: Head, keys: Keys) -> bool:
    """
    Tell whether the service has written this head.
    """
    key = keys.get(head.audit_key_id)
    return key is not None and head_mac(key, head) == head.head_mac


def check_entries(begin: Link, rows: Sequence[ChainedRow], keys: Keys) -> Checked:
    """
    Check the entries behind *begin*, which are given in the order of their positions.
    """
    link = begin
    for row in rows:
        found, kind = _check(link, row, keys)
        if kind is not None:
            position = link.position + 1 if kind is FaultKind.MISSING else found.position
            entry_id = "" if kind is FaultKind.MISSING else row.audit_entry_id
            return Checked(link, Fault(position, kind, entry_id))
        link = found
    return Checked(link, None)


def check_end(reached: Link, head: Head, keys: Keys) -> Fault | None:
    """
    Check that the entries end where *head* says, once all that are there fit.
    """
    if not head_fits(head, keys):
        lost = head.audit_key_id and head.audit_key_id not in keys
        return Fault(head.position, FaultKind.KEY_MISSING if lost else FaultKind.HEAD_CHANGED)
    if reached.position < head.position:
        return Fault(reached.position + 1, FaultKind.MISSING)
    return None if reached == head.last else Fault(head.position, FaultKind.HEAD_CHANGED)


def _check(link: Link, row: ChainedRow, keys: Keys) -> tuple[Link, FaultKind | None]:
    position, mac = row.position or 0, row.chain_mac or NOTHING
    found, expected = Link(position, mac), link.position + 1
    if position > expected:
        return found, FaultKind.MISSING
    key = keys.get(row.audit_key_id or "")
    if key is None:
        return found, FaultKind.KEY_MISSING
    content = content_mac(key, row)
    if content != row.content_mac:
        return found, FaultKind.CHANGED
    if position < expected:
        return found, FaultKind.OUT_OF_ORDER
    if chain_mac(key, position, link.mac, content) == mac:
        return found, None
    restarted = chain_mac(key, position, NOTHING, content) == mac
    return found, FaultKind.RESTARTED if restarted else FaultKind.OUT_OF_ORDER


def _code(key: Mac, purpose: str, *parts: str | int | bytes) -> bytes:
    return key.digest(msgspec.json.encode([f"audit {purpose}", *parts]))
