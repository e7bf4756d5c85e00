"""
The audit log, its chain and its keys, on SQLite and on PostgreSQL alike.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
import sqlalchemy as sa

from service_runtime.audit.chain import FaultKind, Link
from service_runtime.audit.head import EMPTY
from service_runtime.audit.log import AuditLog
from service_runtime.database.engine import create_engine, reading, writing
from service_runtime.database.instants import after, database_now
from service_runtime.keys.rotation import rotate
from service_runtime.rpc.callers import EVERY_OWNER
from tests.integration.service_runtime.audit.conftest import (
    AFTER,
    BOTH,
    RING,
    Stored,
    entries,
    new_id,
    tables,
)

pytestmark = pytest.mark.anyio

KEEP = timedelta(days=400)
TO_COME = -timedelta(days=1)  # all entries are older than what is to come


async def test_verification_in_parts(stored: Stored) -> None:
    """
    A long log is verified in parts, and each begins where the one before ended.
    """
    await stored.write(*"abcde")

    first = await stored.verified(limit=3)
    second = await stored.verified(first.through, limit=3)

    assert (first.verified, first.complete, first.through.position) == (3, False, 3)
    assert (second.verified, second.complete, second.fault) == (2, True, None)
    assert second.through.position == second.head.position == 5
    again = await stored.verified(second.through)
    assert (again.verified, again.complete, again.fault) == (0, True, None)


async def test_old_entries_are_deleted_and_the_rest_fits(stored: Stored) -> None:
    """
    Deletion by age moves the beginning of the chain, in batches.
    """
    await forget_chain(stored)
    for number in range(4):
        await unchained(stored, f"old {number}", -KEEP - timedelta(days=10 - number))
    await stored.log.begin(stored.engine)
    await stored.write("e", "f")

    assert await stored.log.prune(stored.engine, KEEP, batch=2) == 4
    assert await stored.log.prune(stored.engine, KEEP, batch=2) == 0
    await stored.write("g")

    found = await stored.verified()
    assert (found.verified, found.fault, found.head.pruned_position) == (3, None, 4)
    behind_deleted = await stored.verified(Link(2, b"anything"))
    assert (behind_deleted.verified, behind_deleted.fault) == (3, None)
    await stored.sql("DELETE FROM audit_entries WHERE position = 5")
    assert await stored.fault() == (5, FaultKind.MISSING)


async def test_all_entries_may_be_deleted(stored: Stored) -> None:
    """
    The chain goes on behind the last entry that was deleted by age.
    """
    await stored.write("a", "b")
    assert await stored.log.prune(stored.engine, TO_COME) == 2
    assert await stored.fault() is None

    await stored.write("c")

    found = await stored.verified()
    assert (found.verified, found.fault, found.head.position) == (1, None, 3)


async def test_nothing_is_deleted_while_the_end_is_wrong(stored: Stored) -> None:
    """
    Deletion by age would authenticate a head that somebody else has written.
    """
    await stored.write("a", "b")
    await stored.sql("UPDATE audit_head SET position = 1")

    assert await stored.log.prune(stored.engine, TO_COME) == 0
    assert await stored.fault() == (1, FaultKind.HEAD_CHANGED)


async def test_entries_of_before_are_chained_once(stored: Stored) -> None:
    """
    Entries of an older version are in the chain from the first start on, and the answer says so.
    Later ones without a place in it were written by somebody else.
    """
    await forget_chain(stored)
    await unchained(stored, "first", timedelta(hours=-2))
    await unchained(stored, "second", timedelta(hours=-1))

    await stored.log.begin(stored.engine)
    await stored.log.begin(stored.engine)
    await stored.write("a")

    found = await stored.verified()
    assert (found.verified, found.fault, found.head.adopted_position) == (3, None, 2)
    async with reading(stored.engine) as db:
        query = sa.select(entries.c.audit_entry_id).order_by(entries.c.position).limit(2)
        assert (await db.execute(query)).scalars().all() == ["first", "second"]

    await unchained(stored, "forged", timedelta(hours=-3))
    await stored.log.begin(stored.engine)
    assert await stored.fault() == (0, FaultKind.UNCHAINED)


async def forget_chain(stored: Stored) -> None:
    """
    Bring the tables into the state in which the migration leaves them.
    """
    async with writing(stored.engine) as db:
        await db.execute(sa.delete(tables.keys))
        empty = {name: getattr(EMPTY, name) for name in EMPTY.__struct_fields__}
        await db.execute(sa.update(tables.head).values(empty))
    stored.log = AuditLog(tables, RING, new_id)


async def unchained(stored: Stored, entry_id: str, ago: timedelta) -> None:
    """
    Write an entry as an older version does.
    """
    row = {
        "audit_entry_id": entry_id,
        "owner": "",
        "create_time": after(ago),
        "caller": "ann",
        "method": "Do",
        "resource": "keys",
        "changes": "[]",
    }
    async with writing(stored.engine) as db:
        await db.execute(sa.insert(entries).values(row))


async def test_head_that_was_emptied_is_no_first_start(stored: Stored) -> None:
    """
    Entries are not chained anew because somebody emptied the head.
    """
    await stored.write("a", "b")
    await stored.sql("DELETE FROM audit_entries WHERE position = 2", "DELETE FROM audit_head")

    await stored.log.begin(stored.engine)

    assert await stored.fault() == (0, FaultKind.HEAD_CHANGED)


async def test_several_processes_keep_one_chain(stored: Stored, database_url: str) -> None:
    """
    Writers wait for each other, and what is rolled back leaves no gap.
    """
    other_engine = create_engine(database_url, application_name="tests")
    other = Stored(other_engine, AuditLog(tables, RING, new_id))
    await other.log.begin(other_engine)

    async def rolled_back() -> None:
        with pytest.raises(ZeroDivisionError):
            async with writing(other_engine) as db:
                await other.log.record(db, "Do", "keys", caller="ann")
                raise ZeroDivisionError

    work = [stored.write(*"abcde"), other.write(*"fghij"), rolled_back()]
    await asyncio.gather(*work, *[it.write("x") for it in (stored, other) for _ in range(5)])
    await other_engine.dispose()

    found = await stored.verified()
    assert (found.verified, found.fault) == (20, None)


async def test_keys_are_rotated(stored: Stored) -> None:
    """
    A new first key authenticates new entries; the old key of the ring can go.
    """
    await stored.write("a", "b")
    rotating = AuditLog(tables, BOTH, new_id)
    await rotating.begin(stored.engine)
    stored.log = rotating
    await stored.write("c")
    async with writing(stored.engine) as db:
        assert await rotate(db, BOTH, [tables.sealed_column()], 10) == (1, 0)

    stored.log = AuditLog(tables, AFTER, new_id)
    await stored.log.begin(stored.engine)
    await stored.write("d")

    found = await stored.verified()
    assert (found.verified, found.fault) == (4, None)
    async with reading(stored.engine) as db:
        query = sa.select(entries.c.audit_key_id, tables.keys.c.ring_key_id).join_from(
            entries, tables.keys, entries.c.audit_key_id == tables.keys.c.audit_key_id
        )
        used = [key for _, key in (await db.execute(query.order_by(entries.c.position))).all()]
    assert used == ["old", "old", "new", "new"]


async def test_verification_sees_one_state(stored: Stored) -> None:
    """
    Entries that are written during a verification belong to the next one.
    """
    await stored.write(*"abc")
    verifying = asyncio.gather(*[stored.verified() for _ in range(5)])
    await stored.write(*"defgh")
    assert [found.fault for found in await verifying] == [None] * 5


async def test_list_shows_positions(stored: Stored) -> None:
    """
    A fault is found in the list by its position.
    """
    await stored.write("a", "b")
    async with reading(stored.engine) as db:
        now = (await db.execute(sa.select(database_now()))).scalar_one()
        page = await stored.log.list_entries(db, EVERY_OWNER, (), size=10, begin_after=None)

    assert [row.position for row in page.rows] == [2, 1]
    assert {row.owner for row in page.rows} == {"accounts/1"}
    assert all(row.create_time <= now for row in page.rows)
