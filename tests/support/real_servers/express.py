"""
Express on the HTTPS server of Node.js.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.databases import free_port
from tests.support.real_servers.processes import program, running
from tests.support.real_servers.site import APPS, Files, Site

DEMANDING = ("demanding-1.2", "demanding-1.3")


@contextmanager
def express(files: Files, modules: Path) -> Iterator[Site]:
    """
    Run Express, which was installed in *modules*.

    Doors: `main`; `few`, with five requests a connection; `idle`, which closes connections after
    a fifth of a second; `demanding-…`, which demands a client certificate with TLS 1.2 and 1.3.
    """
    doors = {it: free_port() for it in ("main", "few", "idle", *DEMANDING)}
    environment = {
        **{name: str(port) for name, port in doors.items()},
        "NODE_PATH": str(modules),
        "ARRIVALS": str(files.arrivals),
        "KEY": str(files.key),
        "CERTIFICATE": str(files.certificate),
        "CLIENTS": str(files.clients),
    }
    command = [program("node"), str(APPS / "receiver.js")]
    with running(files.folder, doors["main"], *command, environment=environment) as log:
        yield Site("Express", doors, files, log)
