"""
The pool of idle connections.
"""

import asyncio
import sys

import pytest

from dispatch_service.egress.connection import Connection
from dispatch_service.egress.pool import ConnectionPool

pytestmark = pytest.mark.anyio


def idle(pool: ConnectionPool, endpoint: str) -> Connection:
    """
    Return an idle connection whose response has just ended.
    """
    key = ("accounts/100", endpoint, None)
    connection = Connection(asyncio.get_running_loop(), key, "127.0.0.1", pool.lost)
    connection.reusable = True
    pool.open.add(connection)
    pool.put(connection)
    return connection


def steps(pool: ConnectionPool, endpoint: str) -> int:
    """
    Count the calls of functions in one take and one put.
    """
    calls = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal calls
        del frame, event, argument
        calls += 1

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        connection = pool.take(("accounts/100", endpoint, None))
        assert connection is not None
        connection.reusable = True
        pool.put(connection)
    finally:
        sys.setprofile(before)
    return calls


async def test_cost_does_not_grow_with_endpoints() -> None:
    """
    A request costs the pool as much with two thousand idle endpoints as with one.
    """
    pool = ConnectionPool()
    idle(pool, "https://a.com:443")
    alone = steps(pool, "https://a.com:443")
    for number in range(2000):
        idle(pool, f"https://{number}.com:443")

    assert steps(pool, "https://a.com:443") == alone
    assert pool.idle_count == 2001
    pool.close()


async def test_last_used_is_taken_first() -> None:
    """
    The connection used last is used again, so that the others can expire.
    """
    pool = ConnectionPool()
    first, second = idle(pool, "x"), idle(pool, "x")

    assert pool.take(("accounts/100", "x", None)) is second
    assert pool.take(("accounts/100", "x", None)) is first
    assert pool.take(("accounts/100", "x", None)) is None
    pool.close()


async def test_limits_of_idle_connections() -> None:
    """
    At the limit per endpoint a connection is closed instead of kept; at the limit of the pool the
    connection that was idle for longest is closed.
    """
    pool = ConnectionPool(max_idle=3, max_idle_per_key=2)
    _, second, _ = (idle(pool, "x") for _ in range(3))
    assert pool.idle_count == 2

    y, z = idle(pool, "y"), idle(pool, "z")

    assert pool.idle_count == 3
    assert pool.take(("accounts/100", "x", None)) is second
    assert pool.take(("accounts/100", "y", None)) is y
    assert pool.take(("accounts/100", "z", None)) is z
    assert pool.take(("accounts/100", "x", None)) is None
    pool.close()


async def test_idle_connection_holds_no_response() -> None:
    """
    An idle connection keeps no part of its last response in memory.
    """
    pool = ConnectionPool()
    connection = idle(pool, "x")
    connection.body += b"x" * 16384

    taken = pool.take(("accounts/100", "x", None))
    assert taken is connection
    taken.reusable = True
    pool.put(taken)

    assert connection.body == b""
    pool.close()
