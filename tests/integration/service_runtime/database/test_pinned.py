"""
Connections that are kept between statements.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from service_runtime.database.engine import create_engine
from service_runtime.database.pinned import PinnedConnections
from tests.support.databases import fresh_database

pytestmark = pytest.mark.anyio


@pytest.fixture
def empty_url(postgres_url: str) -> Iterator[str]:
    """
    Yield the URL of an empty database on PostgreSQL.
    """
    with fresh_database(postgres_url) as url:
        yield url


@pytest.fixture
async def engine(empty_url: str) -> AsyncIterator[AsyncEngine]:
    """
    Yield its engine.
    """
    made = create_engine(empty_url, application_name="tests")
    yield made
    await made.dispose()


@pytest.fixture
async def pinned(engine: AsyncEngine) -> AsyncIterator[PinnedConnections]:
    """
    Yield pinned connections of the engine.
    """
    made = PinnedConnections(engine)
    yield made
    await made.close()


async def backend(db: AsyncConnection) -> int:
    """
    Return the process of the server that serves a connection.
    """
    return int((await db.execute(sa.text("SELECT pg_backend_pid()"))).scalar_one())


async def test_the_same_connection_is_lent_again(pinned: PinnedConnections) -> None:
    """
    Successive uses get the same connection.
    """
    pids = []
    for _ in range(3):
        async with pinned.use() as db:
            pids.append(await backend(db))

    assert len(set(pids)) == 1


async def test_each_use_at_a_time_has_its_own(pinned: PinnedConnections) -> None:
    """
    Two uses at the same time get different connections.
    """
    async with pinned.use() as one, pinned.use() as other:
        assert await backend(one) != await backend(other)


async def test_each_statement_is_a_transaction(
    pinned: PinnedConnections, engine: AsyncEngine
) -> None:
    """
    What was written is there for others before the connection is returned.
    """
    async with pinned.use() as db:
        await db.execute(sa.text("CREATE TABLE seen_by_others (n integer)"))
        async with engine.connect() as other:
            await other.execute(sa.text("DROP TABLE seen_by_others"))


async def test_connection_that_the_server_closed_is_replaced(
    pinned: PinnedConnections, engine: AsyncEngine
) -> None:
    """
    A server that was restarted while nothing was published fails nobody.
    """
    async with pinned.use() as db:
        first = await backend(db)
    async with engine.connect() as other:
        await other.execute(sa.text(f"SELECT pg_terminate_backend({first}, 10000)"))

    async with pinned.use() as db:
        assert await backend(db) != first


async def test_connection_on_which_anything_failed_is_not_lent_again(
    pinned: PinnedConnections, engine: AsyncEngine
) -> None:
    """
    It goes back to the pool, which knows what to do with it.
    """
    with pytest.raises(DBAPIError):
        async with pinned.use() as db:
            await db.execute(sa.text("SELECT nonsense"))
    assert _lent(engine) == 0

    async with pinned.use() as db:
        await backend(db)
    assert _lent(engine) == 1
    await pinned.close()
    assert _lent(engine) == 0


async def test_what_is_lent_while_it_closes_goes_back_too(
    pinned: PinnedConnections, engine: AsyncEngine
) -> None:
    """
    Nothing is kept when it has closed.
    """
    async with pinned.use() as db:
        await pinned.close()
        await backend(db)

    assert _lent(engine) == 0


async def test_connection_that_was_lost_under_its_user_is_not_kept(
    pinned: PinnedConnections,
) -> None:
    """
    A user may bear the error; the next one gets another connection.
    """
    async with pinned.use() as db:
        with pytest.raises(DBAPIError):
            await db.execute(sa.text("SELECT pg_terminate_backend(pg_backend_pid())"))

    async with pinned.use() as db:
        assert await backend(db) > 0


def _lent(engine: AsyncEngine) -> int:
    """
    Count the connections that the pool has lent.
    """
    return int(engine.pool.checkedout())  # type: ignore[attr-defined]
