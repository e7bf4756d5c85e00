"""
What both databases must do alike: instants, the clock, transactions.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from service_runtime.database.engine import (
    create_engine,
    reading,
    writing,
)
from service_runtime.database.faults import is_unavailable
from service_runtime.database.instants import Instant, after, database_now
from tests.support.databases import free_port

pytestmark = pytest.mark.anyio

METADATA = sa.MetaData()
THINGS = sa.Table(
    "things",
    METADATA,
    sa.Column("thing_id", sa.Integer, primary_key=True),
    sa.Column("due", Instant),
)


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    """
    Yield an engine whose database has the table.
    """
    made = create_engine(database_url, application_name="tests")
    async with writing(made) as db:
        await db.run_sync(METADATA.create_all)
    yield made
    await made.dispose()


@pytest.mark.parametrize(
    "instant",
    [
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
        datetime(2024, 2, 29, 12, 0, 0, 123_456, tzinfo=timezone(timedelta(hours=-5))),
        datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    ],
)
async def test_instants_come_back_exactly(engine: AsyncEngine, instant: datetime) -> None:
    """
    An instant keeps its microseconds and comes back in UTC.
    """
    async with writing(engine) as db:
        await db.execute(sa.insert(THINGS).values(thing_id=1, due=instant))
    async with reading(engine) as db:
        found = (await db.execute(sa.select(THINGS.c.due))).scalar_one()
    assert found == instant
    assert found.utcoffset() == timedelta(0)


async def test_naive_datetime_is_refused(engine: AsyncEngine) -> None:
    """
    A time without a zone is a mistake, not UTC.
    """
    naive = datetime(2024, 1, 1)  # noqa: DTZ001 - the mistake itself
    with pytest.raises(sa.exc.StatementError, match="aware"):
        async with writing(engine) as db:
            await db.execute(sa.insert(THINGS).values(thing_id=1, due=naive))


async def test_times_are_the_databases_own(engine: AsyncEngine) -> None:
    """
    Now and after come from the database's clock; after None is NULL.
    """
    query = sa.select(database_now(), after(timedelta(minutes=5)), after(None))
    async with reading(engine) as db:
        now, later, never = (await db.execute(query)).one()
    assert abs(now.timestamp() - time.time()) < 30
    assert timedelta(minutes=5) <= later - now < timedelta(minutes=5, seconds=1)
    assert never is None


async def test_error_rolls_back(engine: AsyncEngine) -> None:
    """
    A transaction that ends with an error leaves nothing.
    """
    with pytest.raises(ZeroDivisionError):
        async with writing(engine) as db:
            await db.execute(sa.insert(THINGS).values(thing_id=1))
            raise ZeroDivisionError
    async with reading(engine) as db:
        assert (await db.execute(sa.select(THINGS))).all() == []


async def test_writers_wait_for_each_other(engine: AsyncEngine) -> None:
    """
    Concurrent writers all get their turn: none sees "database is locked".
    """

    async def write(number: int) -> None:
        async with writing(engine) as db:
            await db.execute(sa.insert(THINGS).values(thing_id=number))
            await asyncio.sleep(0.001)

    await asyncio.gather(*(write(number) for number in range(40)))
    async with reading(engine) as db:
        count = (await db.execute(sa.select(sa.func.count()).select_from(THINGS))).scalar()
    assert count == 40


async def test_reader_does_not_wait_for_a_writer(engine: AsyncEngine) -> None:
    """
    While somebody writes, readers go on and see what was committed.
    """
    async with writing(engine) as db:
        await db.execute(sa.insert(THINGS).values(thing_id=1))
        async with asyncio.timeout(20), reading(engine) as other:
            assert (await other.execute(sa.select(THINGS))).all() == []


async def test_sqlite_commits_are_durable(tmp_path: Path) -> None:
    """
    What was committed survives a power cut: WAL with full synchronisation.
    """
    engine = create_engine(f"sqlite:///{tmp_path / 'folder' / 'x.db'}", application_name="tests")
    async with reading(engine) as db:
        mode = (await db.exec_driver_sql("PRAGMA journal_mode")).scalar()
        level = (await db.exec_driver_sql("PRAGMA synchronous")).scalar()
    await engine.dispose()
    assert (mode, level) == ("wal", 2)
    assert (tmp_path / "folder").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("url", ["mysql://x/y", "sqlite://", "sqlite:///:memory:"])
def test_urls_that_are_refused(url: str) -> None:
    """
    Another database, or one that is lost with the process, is refused.
    """
    with pytest.raises(ValueError, match="must"):
        create_engine(url, application_name="tests")


async def test_server_that_is_not_there_is_unavailable() -> None:
    """
    An error that means "no answer" differs from one that means "refused".
    """
    url = f"postgresql://nobody@127.0.0.1:{free_port()}/none"
    engine = create_engine(url, application_name="tests")
    with pytest.raises(OSError) as raised:  # noqa: PT011 - any of its kinds
        async with reading(engine):
            pass
    assert is_unavailable(raised.value)


async def test_broken_rule_is_not_unavailable(engine: AsyncEngine) -> None:
    """
    A row that the database refuses says nothing about its health.
    """
    with pytest.raises(sa.exc.IntegrityError) as raised:
        async with writing(engine) as db:
            for _ in range(2):
                await db.execute(sa.insert(THINGS).values(thing_id=1))
    assert not is_unavailable(raised.value)
