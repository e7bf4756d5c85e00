"""
What a verification finds where others than the service have changed the audit log.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import sqlalchemy as sa

from service_runtime.audit.chain import Fault, FaultKind, Link
from service_runtime.database.engine import reading, writing
from tests.integration.service_runtime.audit.conftest import Stored, tables

pytestmark = pytest.mark.anyio

CHANGE_THIRD = "UPDATE audit_entries SET caller = 'bob' WHERE position = 3"
DELETE_THIRD = "DELETE FROM audit_entries WHERE position = 3"
CLOSE_GAP = "UPDATE audit_entries SET position = position - 1 WHERE position > 3"
OPEN_GAP = "UPDATE audit_entries SET position = position + 1 WHERE position > 3"
DELETE_TAIL = "DELETE FROM audit_entries WHERE position > 4"
HEAD_TO_FOURTH = """
    UPDATE audit_head SET position = 4,
        chain_mac = (SELECT chain_mac FROM audit_entries WHERE position = 4)
"""
DELETE_BEGINNING = "DELETE FROM audit_entries WHERE position <= 2"
PRUNED_TO_SECOND = """
    UPDATE audit_head SET pruned_position = 2,
        pruned_mac = (SELECT chain_mac FROM audit_entries WHERE position = 2)
"""
SWAP = (
    "UPDATE audit_entries SET position = 100 WHERE position = 2",
    "UPDATE audit_entries SET position = 2 WHERE position = 5",
    "UPDATE audit_entries SET position = 5 WHERE position = 100",
)
COPY_THIRD_UNCHAINED = """
    INSERT INTO audit_entries
        (audit_entry_id, owner, create_time, caller, method, resource, changes)
    SELECT 'forged', owner, create_time, caller, method, resource, changes
    FROM audit_entries WHERE position = 3
"""
COPY_THIRD_TO_FOURTH = """
    INSERT INTO audit_entries
        (audit_entry_id, owner, create_time, caller, method, resource, changes,
         position, audit_key_id, content_mac, chain_mac)
    SELECT 'forged', owner, create_time, caller, method, resource, changes,
        4, audit_key_id, content_mac, chain_mac
    FROM audit_entries WHERE position = 3
"""
COPY_SIXTH_TO_END = """
    INSERT INTO audit_entries
        (audit_entry_id, owner, create_time, caller, method, resource, changes,
         position, audit_key_id, content_mac, chain_mac)
    SELECT 'forged', owner, create_time, caller, method, resource, changes,
        7, audit_key_id, content_mac, chain_mac
    FROM audit_entries WHERE position = 6
"""

TAMPERED: dict[str, tuple[Sequence[str], tuple[int, FaultKind]]] = {
    "changed": ([CHANGE_THIRD], (3, FaultKind.CHANGED)),
    "middle deleted": ([DELETE_THIRD], (3, FaultKind.MISSING)),
    "gap closed": ([DELETE_THIRD, CLOSE_GAP], (3, FaultKind.OUT_OF_ORDER)),
    "tail deleted": ([DELETE_TAIL], (5, FaultKind.MISSING)),
    "tail and head": ([DELETE_TAIL, HEAD_TO_FOURTH], (4, FaultKind.HEAD_CHANGED)),
    "all deleted": (["DELETE FROM audit_entries"], (1, FaultKind.MISSING)),
    "as if by age": ([PRUNED_TO_SECOND, DELETE_BEGINNING], (6, FaultKind.HEAD_CHANGED)),
    "swapped": (SWAP, (2, FaultKind.OUT_OF_ORDER)),
    "inserted unchained": ([COPY_THIRD_UNCHAINED], (0, FaultKind.UNCHAINED)),
    "inserted at the end": ([COPY_SIXTH_TO_END], (7, FaultKind.CHANGED)),
    "inserted": ([OPEN_GAP, COPY_THIRD_TO_FOURTH], (4, FaultKind.CHANGED)),
    "head deleted": (["DELETE FROM audit_head"], (0, FaultKind.HEAD_CHANGED)),
    "key deleted": (["DELETE FROM audit_keys"], (1, FaultKind.KEY_MISSING)),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", TAMPERED)
async def test_tampering_is_found(stored: Stored, case: str) -> None:
    """
    Whatever somebody does to the tables without the keys, the first place is named.
    """
    statements, fault = TAMPERED[case]
    await stored.write(*"abcdef")
    assert await stored.fault() is None

    await stored.sql(*statements)

    assert await stored.fault() == fault


@pytest.mark.parametrize("case", ["tail and head", "head deleted"])
async def test_tampering_stays_to_be_seen(stored: Stored, case: str) -> None:
    """
    A service that goes on writes behind what is wrong, and does not cover it up.
    """
    await stored.write(*"abcdef")
    await stored.sql(*TAMPERED[case][0])
    await stored.log.begin(stored.engine)

    await stored.write("g", "h")

    restarted = 5 if case.startswith("tail") else 7
    found = await stored.verified()
    assert found.fault is not None
    assert found.fault[:2] == (restarted, FaultKind.RESTARTED)
    behind = await stored.verified(Link(restarted, b""))
    assert (behind.verified, behind.fault, behind.complete) == (1, None, True)


async def test_older_state_is_found_by_a_checkpoint(stored: Stored) -> None:
    """
    A database that was put back fits in itself, but not to what an answer said before.
    """
    await stored.write("a", "b")
    before = await rows_of(stored)
    await stored.write("c", "d")
    checkpoint = (await stored.verified()).through

    await put_back(stored, before)
    assert await stored.fault() is None
    missing = await stored.verified(checkpoint)
    assert missing.fault == Fault(4, FaultKind.MISSING)

    await stored.write("c", "other", "e")
    other = await stored.verified(checkpoint)
    assert other.fault is not None
    assert other.fault[:2] == (4, FaultKind.CHANGED)


async def rows_of(stored: Stored) -> dict[sa.Table, list[Any]]:
    """
    Read the audit log as a backup would.
    """
    async with reading(stored.engine) as db:
        return {
            table: [row._asdict() for row in (await db.execute(sa.select(table))).all()]
            for table in (tables.entries, tables.head)
        }


async def put_back(stored: Stored, rows: dict[sa.Table, list[Any]]) -> None:
    """
    Restore what `rows_of` read.
    """
    async with writing(stored.engine) as db:
        for table, values in rows.items():
            await db.execute(sa.delete(table))
            await db.execute(sa.insert(table), values)
