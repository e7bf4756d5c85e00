"""
A database with an audit log and nothing else, on SQLite and on PostgreSQL.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from service_runtime.audit.chain import FaultKind, Link
from service_runtime.audit.entries import AuditChange
from service_runtime.audit.log import AuditLog
from service_runtime.audit.tables import audit_tables, chain_columns
from service_runtime.audit.verification import Verification
from service_runtime.database.engine import create_engine, writing
from service_runtime.database.instants import Instant
from service_runtime.keys.keyring import KeyRing

OLD, NEW = b"o" * 32, b"n" * 32
RING = KeyRing({"old": OLD}, b"h" * 32)
BOTH = KeyRing({"new": NEW, "old": OLD}, b"h" * 32)
AFTER = KeyRing({"new": NEW}, b"h" * 32)
ALL = 1000

metadata = sa.MetaData()
entries = sa.Table(
    "audit_entries",
    metadata,
    sa.Column("audit_entry_id", sa.Text, primary_key=True),
    sa.Column("owner", sa.Text, nullable=False),
    sa.Column("create_time", Instant, nullable=False),
    sa.Column("caller", sa.Text, nullable=False),
    sa.Column("method", sa.Text, nullable=False),
    sa.Column("resource", sa.Text, nullable=False),
    sa.Column("changes", sa.Text, nullable=False),
    *(it for it in chain_columns() if not isinstance(it, sa.Index)),
)
tables = audit_tables(metadata, entries)
numbers = itertools.count(1)


def new_id() -> str:
    """
    Make an id that grows.
    """
    return f"{next(numbers):010d}"


@dataclass
class Stored:
    """
    A database with its audit log.
    """

    engine: AsyncEngine
    log: AuditLog

    async def write(self, *names: str) -> None:
        """
        Record an action on each of *names*.
        """
        for name in names:
            async with writing(self.engine) as db:
                changes = [AuditChange("status", "", name)]
                await self.log.record(db, "Do", f"accounts/1/x/{name}", changes, caller="ann")

    async def sql(self, *statements: str) -> None:
        """
        Change the database as somebody would who has it but not the keys.
        """
        async with writing(self.engine) as db:
            for statement in statements:
                await db.execute(sa.text(statement))

    async def verified(self, begin: Link | None = None, limit: int = ALL) -> Verification:
        return await self.log.verify(self.engine, begin, limit)

    async def fault(self) -> tuple[int, FaultKind] | None:
        """
        Return where the first fault is, and what is wrong.
        """
        found = (await self.verified()).fault
        return None if found is None else (found.position, found.kind)


@pytest.fixture
async def stored(database_url: str) -> AsyncIterator[Stored]:
    """
    Yield a database without entries in which the chain has begun.
    """
    engine = create_engine(database_url, application_name="tests")
    async with engine.begin() as db:
        await db.run_sync(metadata.create_all)
    log = AuditLog(tables, RING, new_id)
    await log.begin(engine)
    yield Stored(engine, log)
    await engine.dispose()
