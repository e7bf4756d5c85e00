"""
Servers that end connections: after some requests, or after some time without one.
"""

from __future__ import annotations

import pytest

from dispatch_service.egress.transport import GuardedTransport
from tests.support.real_servers.site import Site
from tests.support.real_servers.verdicts import CountedConnections, verdict
from tests.support.transports import until

pytestmark = [pytest.mark.anyio, pytest.mark.heavy]

REQUESTS = 30
IDLE = [
    ("apache", "idle"),
    ("nginx", "idle"),
    ("haproxy", "idle"),
    ("express", "idle"),
    ("gunicorn", "idle"),
]


@pytest.fixture
def site(server: str, request: pytest.FixtureRequest) -> Site:
    """
    Return the running server of a name.
    """
    found: Site = request.getfixturevalue(server)
    return found


@pytest.mark.parametrize(("server", "first"), [("apache", 6), ("nginx", 5), ("express", 5)])
async def test_servers_that_take_few_requests_a_connection(
    site: Site, first: int, transport: GuardedTransport, connections: CountedConnections
) -> None:
    """
    Each request arrives once, and as many on each connection as the server takes: Apache counts
    those behind the first.
    """
    numbers = range(1001, 1001 + REQUESTS)

    seen = [await verdict(transport, site.request("/200", "few", number=it)) for it in numbers]

    assert seen == ["200"] * REQUESTS
    assert [it for it in site.arrived() if it in numbers] == list(numbers)
    assert connections.count == -(-REQUESTS // first)


async def test_servers_that_close_each_connection(
    gunicorn: Site, transport: GuardedTransport, connections: CountedConnections
) -> None:
    """
    gunicorn's default workers close behind each answer.
    """
    seen = [await verdict(transport, gunicorn.request("/200", "sync")) for _ in range(5)]

    assert (seen, connections.count) == (["200"] * 5, 5)


@pytest.mark.parametrize(("server", "door"), IDLE)
async def test_servers_that_close_idle_connections(
    site: Site, door: str, transport: GuardedTransport, connections: CountedConnections
) -> None:
    """
    The next request goes over a new connection, and arrives once.
    """
    numbers = [2001, 2002, 2003]
    for number in numbers:
        assert await verdict(transport, site.request("/200", door, number=number)) == "200"
        await until(lambda: transport.pool.open_count == 0)

    assert [it for it in site.arrived() if it in numbers] == numbers
    assert connections.count == len(numbers)
