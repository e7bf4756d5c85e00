"""
Servers that demand a client certificate, for everything or for a path.
"""

from __future__ import annotations

import pytest
import trustme

from dispatch_service.domain.authentication import ClientIdentity
from dispatch_service.egress.transport import GuardedTransport
from shipedge.webhooks.failures.causes import Cause
from shipedge.webhooks.failures.tls_causes import TlsCause
from tests.support.real_servers.site import Site, identity
from tests.support.real_servers.verdicts import CountedConnections, verdict

pytestmark = [pytest.mark.anyio, pytest.mark.heavy]

TIMES = 20
REQUIRED, REFUSED = (
    f"tls: {cause.text()}"
    for cause in (TlsCause.CLIENT_CERTIFICATE_REQUIRED, TlsCause.CLIENT_CERTIFICATE_REFUSED)
)
# nginx ends no handshake: it answers, and its page says why.
BY_NGINX = "http_status: HTTP 400"
# Node.js ends the handshake first, and then closes without a word.
PERHAPS_REFUSED = f"protocol: {Cause.CLOSED_BEHIND_CERTIFICATE.text()}"
CASES = [
    ("apache", "whole-1.2", REQUIRED, REFUSED),
    ("apache", "whole-1.3", REQUIRED, REFUSED),
    ("apache", "path-1.2", REQUIRED, REFUSED),
    ("apache", "path-1.3", REQUIRED, REFUSED),
    ("nginx", "demanding-1.2", BY_NGINX, BY_NGINX),
    ("nginx", "demanding-1.3", BY_NGINX, BY_NGINX),
    ("haproxy", "demanding-1.2", REQUIRED, REFUSED),
    ("haproxy", "demanding-1.3", REQUIRED, REFUSED),
    ("gunicorn", "demanding-1.3", REQUIRED, REFUSED),
    ("express", "demanding-1.2", REQUIRED, REFUSED),
    ("express", "demanding-1.3", REQUIRED, PERHAPS_REFUSED),
]
DOORS = pytest.mark.parametrize(
    ("server", "door", "missing", "refused"), CASES, ids=[f"{it[0]}-{it[1]}" for it in CASES]
)
RENEGOTIATION_BUFFER = 131_072
"""
Bytes of a body that Apache keeps while it asks for a certificate (`SSLRenegBufferSize`).
"""


@pytest.fixture
def site(server: str, request: pytest.FixtureRequest) -> Site:
    """
    Return the running server of a name.
    """
    found: Site = request.getfixturevalue(server)
    return found


async def verdicts(
    transport: GuardedTransport, site: Site, door: str, client: ClientIdentity | None
) -> set[str]:
    """
    Return what is said of twenty requests, half of them on connections of their own.
    """
    return {
        await verdict(
            transport, site.request("/secret/200", door, client=client, fresh=turn % 2 == 0)
        )
        for turn in range(TIMES)
    }


@DOORS
async def test_each_case_has_one_verdict(
    site: Site, door: str, missing: str, refused: str, transport: GuardedTransport
) -> None:
    """
    With the certificate every request succeeds; without it, and with one of an unknown authority,
    kind and text are the same each time, on fresh and on kept connections.
    """
    assert await verdicts(transport, site, door, identity()) == {"200"}
    assert await verdicts(transport, site, door, None) == {missing}
    assert await verdicts(transport, site, door, identity(trustme.CA())) == {refused}


async def test_nginx_says_why_in_its_page(nginx: Site, transport: GuardedTransport) -> None:
    """
    The response in the log tells what the code does not.
    """
    for version in ("1.2", "1.3"):
        door = f"demanding-{version}"
        missing = await transport.exchange(nginx.request("/200", door))
        other = identity(trustme.CA())
        refused = await transport.exchange(nginx.request("/200", door, client=other))

        assert b"No required SSL certificate was sent" in missing.body
        assert b"The SSL certificate error" in refused.body


@pytest.mark.parametrize("version", ["1.2", "1.3"])
async def test_apache_asks_when_it_knows_the_path(
    apache: Site, version: str, transport: GuardedTransport, connections: CountedConnections
) -> None:
    """
    A connection that served other paths serves the one with the certificate too, and goes on.
    """
    client = identity()
    paths = ["/200", "/secret/200", "/secret/204", "/200", "/secret/201"]

    seen = [
        await verdict(transport, apache.request(path, f"path-{version}", client=client))
        for path in paths
    ]

    assert seen == ["200", "200", "204", "200", "201"]
    assert connections.count == 1


@pytest.mark.parametrize("version", ["1.2", "1.3"])
@pytest.mark.parametrize(
    ("size", "expected"),
    [(RENEGOTIATION_BUFFER, "200"), (RENEGOTIATION_BUFFER + 1, "http_status: HTTP 413")],
)
async def test_apache_keeps_the_body_while_it_asks(
    apache: Site, version: str, size: int, expected: str, transport: GuardedTransport
) -> None:
    """
    Bodies up to its buffer arrive; of longer ones it says so, and nothing hangs.
    """
    request = apache.request("/secret/size", f"path-{version}", client=identity(), body=b"x" * size)

    assert await verdict(transport, request) == expected
