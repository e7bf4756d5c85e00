"""
Transactions that are run again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from service_runtime.database.conflicts import retry_on_conflict
from service_runtime.database.engine import create_engine
from tests.support.databases import fresh_database

pytestmark = pytest.mark.anyio

ADD = sa.text("UPDATE counters SET number = number + 1 WHERE counter_id = :it")


@pytest.fixture
def url(postgres_url: str) -> Iterator[str]:
    """
    Yield the URL of an empty PostgreSQL database.
    """
    with fresh_database(postgres_url) as url:
        yield url


@pytest.fixture
async def engine(url: str) -> AsyncIterator[AsyncEngine]:
    """
    Yield a database with two counters.
    """
    engine = create_engine(url, application_name="tests")
    async with engine.begin() as db:
        await db.execute(sa.text("CREATE TABLE counters (counter_id int, number int)"))
        await db.execute(sa.text("INSERT INTO counters VALUES (1, 0), (2, 0)"))
    yield engine
    await engine.dispose()


async def test_victim_of_a_deadlock_runs_again(engine: AsyncEngine) -> None:
    """
    Two transactions that wait for each other both get through, one at its second try.
    """
    tries = 0
    both = asyncio.Barrier(2)

    @retry_on_conflict
    async def add(first: int, second: int) -> None:
        nonlocal tries
        tries += 1
        meets = tries <= 2
        async with engine.begin() as db:
            await db.execute(ADD, {"it": first})
            if meets:
                await both.wait()
            await db.execute(ADD, {"it": second})

    await asyncio.gather(add(1, 2), add(2, 1))

    assert tries == 3
    async with engine.connect() as db:
        numbers = (await db.execute(sa.text("SELECT number FROM counters"))).scalars().all()
    assert numbers == [2, 2]


async def test_other_errors_are_raised_at_once(engine: AsyncEngine) -> None:
    """
    What the database refuses is not tried again.
    """
    tries = 0

    @retry_on_conflict
    async def divide() -> None:
        nonlocal tries
        tries += 1
        async with engine.begin() as db:
            await db.execute(sa.text("SELECT 1 / 0"))

    with pytest.raises(sa.exc.DBAPIError, match="division by zero"):
        await divide()
    assert tries == 1


async def test_it_gives_up(engine: AsyncEngine) -> None:
    """
    The last error is raised where no try gets through.
    """

    @retry_on_conflict
    async def refuse() -> None:
        async with engine.begin() as db:
            await db.execute(sa.text("DO $$ BEGIN RAISE SQLSTATE '40001'; END $$"))

    with pytest.raises(sa.exc.DBAPIError) as caught:
        await refuse()
    assert getattr(caught.value.orig, "sqlstate", None) == "40001"
