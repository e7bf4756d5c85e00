"""
What the chain of audit entries notices.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from service_runtime.audit import chain
from service_runtime.audit.chain import (
    NOTHING,
    ChainedRow,
    Checked,
    Content,
    Fault,
    FaultKind,
    Head,
    Link,
    check_end,
    check_entries,
)
from service_runtime.audit.chain_rows import linked, moved
from service_runtime.audit.keys import ChainKey
from service_runtime.keys.macs import Mac

KEY = ChainKey("one", Mac(b"1" * 32))
OTHER = ChainKey("two", Mac(b"2" * 32))
KEYS = {KEY.key_id: KEY.mac, OTHER.key_id: OTHER.mac}
BEGIN = Link(0, NOTHING)
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)

Rows = list[ChainedRow]


def content(number: int) -> Content:
    """
    Make what the entry *number* says.
    """
    at = NOON + timedelta(seconds=number)
    return Content(f"{number:032x}", "accounts/100", at, "callers/ann", "Do", "x", "[]")


def chained(count: int, key: ChainKey = KEY, after: Link = BEGIN) -> tuple[Rows, Link]:
    """
    Make *count* entries as the service writes them, and return the place of the last.
    """
    rows: Rows = []
    for number in range(after.position + 1, after.position + count + 1):
        said = content(number)
        after, values = linked(key, after, said)
        rows.append(msgspec.convert(msgspec.structs.asdict(said) | values, ChainedRow))
    return rows, after


def head_at(last: Link, key: ChainKey = KEY, **over: Any) -> Head:
    """
    Make the head of a chain that ends at *last*.
    """
    empty = Head(0, NOTHING, 0, NOTHING, 0, key.key_id, NOTHING)
    head = msgspec.structs.replace(moved(empty, last), **over)
    return msgspec.structs.replace(head, head_mac=chain.head_mac(key.mac, head))


def changed(row: ChainedRow, **values: Any) -> ChainedRow:
    """
    Return *row* with other values.
    """
    return msgspec.structs.replace(row, **values)


def swapped(rows: Rows) -> Rows:
    """
    Exchange the positions of the third and fourth entry.
    """
    third, fourth = changed(rows[2], position=4), changed(rows[3], position=3)
    return [*rows[:2], fourth, third, *rows[4:]]


def moved_up(rows: Rows) -> Rows:
    """
    Delete the third entry and close the gap.
    """
    return [*rows[:2], *(changed(it, position=(it.position or 0) - 1) for it in rows[3:])]


FORGED = ChainKey("one", Mac(b"not the key of the service 12345"))

TAMPERED: dict[str, tuple[Callable[[Rows], Rows], Fault | None]] = {
    "nothing": (lambda rows: rows, None),
    "caller": (
        lambda rows: [*rows[:2], changed(rows[2], caller="callers/bob"), *rows[3:]],
        Fault(3, FaultKind.CHANGED, f"{3:032x}"),
    ),
    "time": (
        lambda rows: [changed(rows[0], create_time=NOON), *rows[1:]],
        Fault(1, FaultKind.CHANGED, f"{1:032x}"),
    ),
    "first deleted": (lambda rows: rows[1:], Fault(1, FaultKind.MISSING)),
    "middle deleted": (lambda rows: [*rows[:2], *rows[3:]], Fault(3, FaultKind.MISSING)),
    "gap closed": (moved_up, Fault(3, FaultKind.OUT_OF_ORDER, f"{4:032x}")),
    "swapped": (swapped, Fault(3, FaultKind.OUT_OF_ORDER, f"{4:032x}")),
    "repeated": (
        lambda rows: [rows[0], rows[0], *rows[1:]],
        Fault(1, FaultKind.OUT_OF_ORDER, f"{1:032x}"),
    ),
    "appended": (
        lambda rows: [*rows, *chained(1, FORGED, Link(6, rows[-1].chain_mac or b""))[0]],
        Fault(7, FaultKind.CHANGED, f"{7:032x}"),
    ),
    "unknown key": (
        lambda rows: [*rows[:5], changed(rows[5], audit_key_id="other")],
        Fault(6, FaultKind.KEY_MISSING, f"{6:032x}"),
    ),
    "chain code": (
        lambda rows: [changed(rows[0], chain_mac=b"x" * 32), *rows[1:]],
        Fault(1, FaultKind.OUT_OF_ORDER, f"{1:032x}"),
    ),
}


@pytest.mark.parametrize("case", TAMPERED)
def test_first_fault(case: str) -> None:
    """
    The first entry that does not fit is named, and how; those before it fit.
    """
    tamper, fault = TAMPERED[case]
    rows, last = chained(6)

    checked = check_entries(BEGIN, tamper(rows), KEYS)

    assert checked.fault == fault
    assert fault is not None or checked.through == last


def test_entries_before_the_fault_fit() -> None:
    """
    A verification says how far it came.
    """
    rows, _ = chained(6)
    third, _ = check_entries(BEGIN, rows[:3], KEYS)

    assert check_entries(BEGIN, [*rows[:3], *rows[4:]], KEYS).through == third


def test_key_changes() -> None:
    """
    Entries under a newer key continue the chain of those under an older one.
    """
    older, last = chained(3)
    newer, end = chained(3, OTHER, last)

    assert check_entries(BEGIN, [*older, *newer], KEYS) == Checked(end, None)
    assert check_entries(last, newer, KEYS) == Checked(end, None)


def test_restart_is_seen() -> None:
    """
    An entry that was written while the end of the chain did not fit says so.
    """
    rows, _ = chained(3)
    restarted, _ = chained(1, after=Link(3, NOTHING))

    checked = check_entries(BEGIN, [*rows, *restarted], KEYS)

    assert checked.fault == Fault(4, FaultKind.RESTARTED, f"{4:032x}")


def test_end() -> None:
    """
    The head tells whether entries are missing at the end; itself it cannot be changed.
    """
    rows, last = chained(4)
    before, _ = check_entries(BEGIN, rows[:3], KEYS)
    head = head_at(last)

    assert check_end(last, head, KEYS) is None
    assert check_end(before, head, KEYS) == Fault(4, FaultKind.MISSING)
    older = head_at(before)
    assert check_end(last, older, KEYS) == Fault(3, FaultKind.HEAD_CHANGED)
    forged = msgspec.structs.replace(head, position=3, chain_mac=before.mac)
    assert check_end(before, forged, KEYS) == Fault(3, FaultKind.HEAD_CHANGED)
    assert check_end(last, head, {}) == Fault(4, FaultKind.KEY_MISSING)


@pytest.mark.parametrize(
    "field", ["position", "chain_mac", "pruned_position", "pruned_mac", "adopted_position"]
)
def test_all_of_the_head_is_authenticated(field: str) -> None:
    """
    No value of the head can be changed by others.
    """
    head = head_at(Link(7, b"m"), pruned_position=2, pruned_mac=b"p")
    value = getattr(head, field)

    assert chain.head_fits(head, KEYS)
    other = value + 1 if isinstance(value, int) else value + b"x"
    assert not chain.head_fits(msgspec.structs.replace(head, **{field: other}), KEYS)
