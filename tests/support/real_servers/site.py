"""
What the servers share: their certificate, the authority of clients, and the program behind them.
"""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import trustme
from msgspec.structs import replace

from dispatch_service.domain.authentication import ClientIdentity
from dispatch_service.egress.requests import OutboundRequest
from tests.support.receivers import HOST, server_certificate
from tests.support.transports import outbound

APPS = Path(__file__).parent / "apps"


@cache
def client_authority() -> trustme.CA:
    """
    Return the authority whose clients the servers know.
    """
    return trustme.CA()


def identity(of: trustme.CA | None = None) -> ClientIdentity:
    """
    Return a client certificate of an authority, by default of the one that the servers know.
    """
    leaf = (of or client_authority()).issue_cert("client.example")
    chain = b"".join(blob.bytes() for blob in leaf.cert_chain_pems)
    return ClientIdentity(
        id=hashlib.sha256(chain).hexdigest(),
        chain_pem=chain,
        key_pem=leaf.private_key_pem.bytes(),
    )


@dataclass(frozen=True, slots=True)
class Files:
    """
    The files that a server reads: a certificate with its key, together and alone, the authority of
    clients, and *arrivals*, where the program behind it writes the number of each request.
    """

    folder: Path
    certificate: Path
    key: Path
    both: Path
    clients: Path
    arrivals: Path

    @classmethod
    def write(cls, folder: Path) -> Files:
        """
        Write them into a folder.
        """
        files = cls(
            folder,
            folder / "server.pem",
            folder / "server.key",
            folder / "both.pem",
            folder / "clients.pem",
            folder / "arrivals.txt",
        )
        leaf = server_certificate(HOST, "127.0.0.1", "localhost")
        files.certificate.write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
        files.key.write_bytes(leaf.private_key_pem.bytes())
        files.both.write_bytes(leaf.private_key_and_cert_chain_pem.bytes())
        files.clients.write_bytes(client_authority().cert_pem.bytes())
        files.arrivals.touch()
        return files


@dataclass(frozen=True, slots=True)
class Site:
    """
    A running server: its *doors* are the ports with different settings, by name; its *log* has its
    messages.
    """

    name: str
    doors: dict[str, int]
    files: Files
    log: Path = field(default=Path(sys.executable))
    scheme: str = "https"

    def url(self, path: str, door: str = "main") -> str:
        """
        Return the URL of a path behind a door.
        """
        return f"{self.scheme}://{HOST}:{self.doors[door]}{path}"

    def request(
        self,
        path: str,
        door: str = "main",
        *,
        number: int = 0,
        body: bytes = b"{}",
        client: ClientIdentity | None = None,
        fresh: bool = False,
    ) -> OutboundRequest:
        """
        Return a request; if it has a *number*, the program behind the server writes that down.
        """
        asked = outbound(self.url(path, door), fresh=fresh)
        headers = ((b"X-Number", str(number).encode()),) if number else ()
        return replace(asked, headers=asked.headers + headers, body=body, identity=client)

    def arrived(self) -> list[int]:
        """
        Return the numbers of the requests that arrived, in their order.
        """
        return [int(line) for line in self.files.arrivals.read_text().split()]
