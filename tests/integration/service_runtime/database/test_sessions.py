"""
Sessions on PostgreSQL whose connection has vanished without a word.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine

from service_runtime.database.engine import create_engine, reading, writing
from service_runtime.database.faults import is_unavailable
from service_runtime.database.pinned import PinnedConnections
from tests.faults.harness.proxy import Proxy, running_proxy
from tests.support.databases import fresh_database

pytestmark = pytest.mark.anyio

SHORT = 0.5
ONE = sa.text("SELECT 1")


@pytest.fixture
def empty_url(postgres_url: str) -> Iterator[str]:
    """
    Yield the URL of an empty database on PostgreSQL.
    """
    with fresh_database(postgres_url) as url:
        yield url


@pytest.fixture
async def proxy(empty_url: str) -> AsyncIterator[Proxy]:
    """
    Yield a proxy in front of its server.
    """
    async with running_proxy(int(make_url(empty_url).port or 5432)) as made:
        yield made


@pytest.fixture
async def engine(empty_url: str, proxy: Proxy) -> AsyncIterator[AsyncEngine]:
    """
    Yield an engine behind the proxy, whose statements have half a second.
    """
    url = make_url(empty_url).set(host="127.0.0.1", port=proxy.port)
    made = create_engine(
        url.render_as_string(hide_password=False),
        application_name="tests",
        statement_seconds=SHORT,
    )
    yield made
    await made.dispose()


async def test_both_ends_give_up_on_each_other(empty_url: str) -> None:
    """
    The server is asked to end a session that is silent in a transaction or on the network.
    """
    engine = create_engine(empty_url, application_name="tests")
    names = ("idle_in_transaction_session_timeout", "statement_timeout", "tcp_user_timeout")
    async with reading(engine) as db:
        values = [(await db.execute(sa.text(f"SHOW {name}"))).scalar_one() for name in names]
        keepalive = (await db.execute(sa.text("SHOW tcp_keepalives_idle"))).scalar_one()
    await engine.dispose()

    assert values == ["5s", "5s", "5000"]
    assert keepalive == "5"


def opened(engine: AsyncEngine) -> list[object]:
    """
    Return a list that grows by each connection that the engine opens.
    """
    connections: list[object] = []
    sa.event.listen(engine.sync_engine, "connect", lambda made, _: connections.append(made))
    return connections


async def test_statement_that_is_too_slow_costs_no_connection(engine: AsyncEngine) -> None:
    """
    The server is there, and says itself that it has given up.
    """
    connections = opened(engine)
    with pytest.raises(sa.exc.DBAPIError) as raised:
        async with reading(engine) as db:
            await db.execute(sa.text("SELECT pg_sleep(10)"))
    async with reading(engine) as db:
        await db.execute(ONE)

    assert is_unavailable(raised.value)
    assert len(connections) == 1


async def test_silent_connection_condemns_the_older_ones(engine: AsyncEngine, proxy: Proxy) -> None:
    """
    One statement finds out that the connections are gone; the next ones do not.
    """
    connections = opened(engine)
    async with AsyncExitStack() as stack:
        for _ in range(4):
            await (await stack.enter_async_context(reading(engine))).execute(ONE)
    proxy.silence(new=False)

    with pytest.raises(TimeoutError) as raised:
        async with reading(engine) as db:
            await db.execute(ONE)
    for _ in range(8):
        async with reading(engine) as db:
            await db.execute(ONE)

    assert is_unavailable(raised.value)
    assert 4 < len(connections) <= 8


async def test_pinned_connections_are_condemned_too(engine: AsyncEngine, proxy: Proxy) -> None:
    """
    They are not in the pool, which would replace them.
    """
    pinned = PinnedConnections(engine)
    async with pinned.use() as one, pinned.use() as other:
        await one.execute(ONE)
        await other.execute(ONE)
    proxy.silence(new=False)

    with pytest.raises(TimeoutError):
        async with pinned.use() as db:
            await db.execute(ONE)
    async with pinned.use() as db:
        assert (await db.execute(ONE)).scalar_one() == 1
    await pinned.close()


@pytest.mark.slow
async def test_lock_of_a_session_that_has_vanished_is_released(
    engine: AsyncEngine, proxy: Proxy, empty_url: str
) -> None:
    """
    Its server ends it, though its connection still stands.
    """
    direct = create_engine(empty_url, application_name="tests")
    async with writing(direct) as db:
        await db.execute(sa.text("CREATE TABLE things (n integer)"))
    with pytest.raises(TimeoutError):
        async with writing(engine) as db:
            await db.execute(sa.text("LOCK TABLE things"))
            proxy.silence(new=False)
            await db.execute(ONE)

    async with asyncio.timeout(60):
        await _locked(direct)
    await direct.dispose()


async def _locked(engine: AsyncEngine) -> None:
    refused: BaseException | None = None
    while refused is None or is_unavailable(refused):
        try:
            async with writing(engine) as db:
                await db.execute(sa.text("LOCK TABLE things"))
        except sa.exc.DBAPIError as error:
            refused = error
        else:
            return
    raise refused
