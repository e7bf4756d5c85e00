"""
What servers say when something behind them, or in the request, is not as they want it.
"""

from __future__ import annotations

import pytest

from dispatch_service.egress.requests import OutboundRequest
from dispatch_service.egress.transport import GuardedTransport
from shipedge.webhooks.failures.causes import Cause
from shipedge.webhooks.failures.tls_causes import TlsCause
from tests.support.real_servers.site import Site
from tests.support.real_servers.verdicts import answer_to, verdict
from tests.support.transports import outbound

pytestmark = [pytest.mark.anyio, pytest.mark.heavy]

TOO_LARGE = "http_status: HTTP 413"
CASES = [
    ("nginx", "dead", "/200", "http_status: HTTP 502"),
    ("nginx", "silent", "/200", f"protocol: {Cause.CLOSED_UNANSWERED.text()}"),
    (
        "nginx",
        "plain",
        "/200",
        f"tls: {TlsCause.NOT_TLS.text()}",
    ),
    ("haproxy", "dead", "/200", "http_status: HTTP 503"),
    ("haproxy", "late", "/200", "http_status: HTTP 504"),
    ("haproxy", "refusing", "/200", "http_status: HTTP 403"),
    (
        "haproxy",
        "rejecting",
        "/200",
        f"tls: {TlsCause.CLOSED.text()}",
    ),
    ("express", "main", "/crash", "http_status: HTTP 500"),
    ("express", "main", "/hints", "200"),
    ("gunicorn", "main", "/crash", "http_status: HTTP 500"),
    # A PHP that shows its errors has answered 200 before it fails.
    ("php", "main", "/crash", "200"),
    ("php", "main", "/warning", "200"),
    ("nginx", "main", "/crash", "200"),
    ("apache", "main", "/crash", "200"),
]


@pytest.fixture
def site(server: str, request: pytest.FixtureRequest) -> Site:
    """
    Return the running server of a name.
    """
    found: Site = request.getfixturevalue(server)
    return found


@pytest.mark.parametrize(
    ("server", "door", "path", "expected"), CASES, ids=["-".join(it[:2]) + it[2] for it in CASES]
)
async def test_each_fault_has_its_verdict(
    site: Site, door: str, path: str, expected: str, transport: GuardedTransport
) -> None:
    """
    It is the same the second time.
    """
    request = site.request(path, door)

    assert [await verdict(transport, request) for _ in range(2)] == [expected] * 2


@pytest.mark.parametrize("size", [5_000, 5_000_000])
async def test_bodies_that_nginx_does_not_take(
    nginx: Site, size: int, transport: GuardedTransport
) -> None:
    """
    Its answer counts, though it comes while the request is still being written.
    """
    request = nginx.request("/200", "small", body=b"x" * size)

    assert [await verdict(transport, request) for _ in range(5)] == [TOO_LARGE] * 5


async def test_bodies_that_express_does_not_take(
    express: Site, transport: GuardedTransport
) -> None:
    """
    Its default limit is 100 kB.
    """
    request = express.request("/json", body=b'"' + b"x" * 500_000 + b'"')

    assert await verdict(transport, request) == TOO_LARGE


@pytest.mark.parametrize("server", ["express", "gunicorn"])
async def test_answers_before_the_body_is_read(site: Site, transport: GuardedTransport) -> None:
    """
    A receiver that answers at once, with most of the body unread, has confirmed it; the next
    request is answered too.
    """
    large = site.request("/unread", body=b"x" * 5_000_000)
    seen = [await verdict(transport, it) for it in (large, site.request("/200"), large)]

    assert seen == ["200"] * 3


@pytest.mark.parametrize("server", ["apache", "nginx"])
async def test_http_to_the_port_of_https(site: Site, transport: GuardedTransport) -> None:
    """
    Both answer 400, and their page says why.
    """
    answer = await answer_to(transport, _plainly(site))

    assert getattr(answer, "status_code", None) == 400
    assert b"plain HTTP" in getattr(answer, "body", b"")


def _plainly(site: Site) -> OutboundRequest:
    url = site.url("/200").replace("https://", "http://")
    return outbound(url)
