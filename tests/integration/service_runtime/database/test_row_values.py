"""
Many keys at once, on SQLite and on PostgreSQL alike.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from service_runtime.database.engine import create_engine, reading, writing
from service_runtime.database.row_values import in_keys

pytestmark = pytest.mark.anyio

things = sa.Table(
    "things",
    sa.MetaData(),
    sa.Column("owner", sa.Text, primary_key=True),
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("thing_id", sa.Uuid(as_uuid=False), primary_key=True),
)
KEYS = [("accounts/1", n, str(uuid4())) for n in range(3)] + [("it's", 2**40, str(uuid4()))]


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[AsyncEngine]:
    """
    A database with the table.
    """
    engine = create_engine(database_url, application_name="tests")
    async with writing(engine) as db:
        await db.run_sync(things.metadata.create_all)
        await db.execute(things.insert().values(KEYS))
    yield engine
    await engine.dispose()


@pytest.mark.parametrize("wanted", [KEYS[1:], KEYS[:1], [], [("accounts/2", 0, KEYS[0][2])]])
async def test_rows_are_found_by_their_keys(
    store: AsyncEngine, wanted: list[tuple[str, int, str]]
) -> None:
    """
    What is asked for and there is found, be it read or deleted.
    """
    mine = in_keys(list(things.primary_key.columns), wanted)
    async with reading(store) as db:
        found = [tuple(row) for row in await db.execute(sa.select(things).where(mine))]
    assert sorted(found) == sorted(set(wanted) & set(KEYS))

    async with writing(store) as db:
        assert (await db.execute(sa.delete(things).where(mine))).rowcount == len(found)


async def test_part_of_a_key(store: AsyncEngine) -> None:
    """
    The columns may be the first ones of a key.
    """
    mine = in_keys([things.c.owner, things.c.number], [("accounts/1", 2), ("it's", 2**40)])
    async with reading(store) as db:
        assert len((await db.execute(sa.select(things).where(mine))).all()) == 2


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("count", [1, 2, 200])
async def test_sqlite_looks_keys_up(store: AsyncEngine, count: int) -> None:
    """
    However many keys there are, SQLite goes to their rows by the index.
    """
    mine = in_keys(list(things.primary_key.columns), [KEYS[0]] * count)
    for statement in (sa.select(things).where(mine), sa.delete(things).where(mine)):
        text = statement.compile(dialect=store.dialect, compile_kwargs={"literal_binds": True})
        async with store.connect() as db:
            plan = await db.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}")
            first = str(plan.mappings().all()[0]["detail"])
        assert first.startswith("SEARCH things USING"), text
        assert "(owner=? AND number=? AND thing_id=?)" in first
