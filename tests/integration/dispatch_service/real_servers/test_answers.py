"""
What ordinary servers answer is what the log says.
"""

from __future__ import annotations

import asyncio

import pytest

from dispatch_service.domain.outcomes import Response
from dispatch_service.egress.answers.reader import MAX_KEPT_BODY
from dispatch_service.egress.transport import GuardedTransport
from tests.support.real_servers.site import Site
from tests.support.real_servers.verdicts import CountedConnections, answer_to, verdict

pytestmark = [pytest.mark.anyio, pytest.mark.heavy]

SERVERS = pytest.mark.parametrize(
    "server", ["apache", "nginx", "haproxy", "gunicorn", "php", "express"]
)
VERDICTS = {
    "/200": "200",
    "/201": "201",
    "/202": "202",
    "/204": "204",
    "/chunked": "200",
    "/large": "200",
    "/redirect": "redirect: HTTP 302",
    "/400": "http_status: HTTP 400",
    "/404": "http_status: HTTP 404",
    "/410": "http_status: HTTP 410",
    "/500": "http_status: HTTP 500",
    "/503": "http_status: HTTP 503",
}
REQUESTS = 40
AT_ONCE = 8
BODY = 900_000
"""
Bytes of a body that is longer than what servers and sockets buffer.
"""


@pytest.fixture
def site(server: str, request: pytest.FixtureRequest) -> Site:
    """
    Return the running server of a name.
    """
    found: Site = request.getfixturevalue(server)
    return found


@SERVERS
async def test_each_answer_has_its_verdict(site: Site, transport: GuardedTransport) -> None:
    """
    Success is any 2xx; with every other code the kind and the text are always the same.
    """
    seen = {path: await verdict(transport, site.request(path)) for path in VERDICTS}

    assert seen == VERDICTS


@SERVERS
async def test_bodies_are_kept_to_their_limit(site: Site, transport: GuardedTransport) -> None:
    """
    A body in chunks is whole; of a large one the beginning is kept, and the connection goes on.
    """
    chunked = await transport.exchange(site.request("/chunked"))
    large = await transport.exchange(site.request("/large"))
    after = await transport.exchange(site.request("/200"))

    assert (len(chunked.body), chunked.body_truncated) == (5000, False)
    assert (len(large.body), large.body_truncated) == (MAX_KEPT_BODY, True)
    assert (after.status_code, after.body) == (200, b"OK")


@SERVERS
async def test_a_large_request_arrives_whole(site: Site, transport: GuardedTransport) -> None:
    """
    The server counts as many bytes as were sent.
    """
    answer = await transport.exchange(site.request("/size", body=b"x" * BODY))

    assert answer.body == str(BODY).encode()


@SERVERS
async def test_connections_are_kept(
    site: Site, transport: GuardedTransport, connections: CountedConnections
) -> None:
    """
    All requests go over one connection, where the server keeps it open.
    """
    seen = {await verdict(transport, site.request("/200")) for _ in range(10)}

    assert seen == {"200"}
    assert connections.count == (10 if site.name == "php -S" else 1)


@SERVERS
async def test_each_request_arrives_once(site: Site, transport: GuardedTransport) -> None:
    """
    Many at once neither fail nor arrive twice.
    """
    turns = asyncio.Semaphore(AT_ONCE)

    async def send(number: int) -> object:
        async with turns:
            return await answer_to(transport, site.request("/204", number=number))

    answers = await asyncio.gather(*map(send, range(1, REQUESTS + 1)))

    assert {it.status_code for it in answers if isinstance(it, Response)} == {204}
    assert sorted(it for it in site.arrived() if it <= REQUESTS) == list(range(1, REQUESTS + 1))
