"""
What all tests share: the event loop's backend, databases, and no way out but
the loopback addresses.
"""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from tests.support.databases import fresh_database, memory_folder
from tests.support.loops import BACKEND
from tests.support.order import spread
from tests.support.profiles import load_profile
from tests.support.shared_server import SharedServer
from tests.support.templates import PostgresTemplates

load_profile()

# A traceback with the values of all its variables takes ten seconds to be laid out.
structlog.configure(
    processors=[
        structlog.processors.add_log_level,
        structlog.dev.ConsoleRenderer(
            colors=False, exception_formatter=structlog.dev.plain_traceback
        ),
    ]
)


_POSTGRES_FIXTURES = {"postgres_url", "postgres_templates"}
_OF_SERVICES = {"attacks", "crash", "e2e", "faults"}
_HEAVY = {"crash"}
_SHARED_SERVER = pytest.StashKey[SharedServer]()


def pytest_configure(config: pytest.Config) -> None:
    """
    Prepare the PostgreSQL server that the processes of pytest-xdist share, and keep the files of
    tests in memory: a disk that others use too takes seconds for a commit at times.
    """
    if folder := memory_folder():
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", folder)
    given = getattr(config, "workerinput", None)
    server = SharedServer(Path(given["shared_server"])) if given else SharedServer.prepare()
    config.stash[_SHARED_SERVER] = server


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """
    Tell a process of pytest-xdist where the shared server is.
    """
    node.workerinput["shared_server"] = str(node.config.stash[_SHARED_SERVER].directory)


def pytest_unconfigure(config: pytest.Config) -> None:
    """
    Stop the shared server with the process that prepared it.
    """
    if not hasattr(config, "workerinput"):
        config.stash[_SHARED_SERVER].remove()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """
    Mark the tests that need the PostgreSQL server and those that are heavy; let those that may
    take longest begin first.
    """
    for item in items:
        if item.path.parent.name in _HEAVY:
            item.add_marker("heavy")
        fixtures = getattr(item, "fixturenames", ())
        parameters = getattr(item, "callspec", None)
        chosen = parameters.params.values() if parameters else ()
        if not _POSTGRES_FIXTURES.isdisjoint(fixtures) or "postgresql" in chosen:
            item.add_marker("postgresql")
    processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if processes > 1:
        long = sorted(filter(_timeout, items), key=_timeout, reverse=True)
        items[:] = spread(long, [item for item in items if not _timeout(item)], processes)


def _timeout(item: pytest.Item) -> float:
    """
    Return the seconds that a long test may take; 0 for the others.
    """
    if (marker := item.get_closest_marker("timeout")) is not None:
        return float(marker.args[0])
    starts_services = item.path.parent.name in _OF_SERVICES
    return 1.0 if starts_services or item.get_closest_marker("slow") else 0.0


@pytest.fixture
def anyio_backend() -> object:
    """
    Run asynchronous tests on asyncio.
    """
    return BACKEND


@pytest.fixture(scope="session")
def postgres_url(pytestconfig: pytest.Config) -> str:
    """
    Return the URL of a PostgreSQL server where databases can be made.
    """
    return pytestconfig.stash[_SHARED_SERVER].url()


@pytest.fixture(scope="session")
def postgres_templates(pytestconfig: pytest.Config) -> Iterator[PostgresTemplates]:
    """
    Yield the migrated databases on the PostgreSQL server.
    """
    with PostgresTemplates(pytestconfig.stash[_SHARED_SERVER].url) as templates:
        yield templates


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """
    Yield the URL of an empty database: the test runs once on each kind.
    """
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/test.db"
        return
    with fresh_database(request.getfixturevalue("postgres_url")) as url:
        yield url


@pytest.fixture(autouse=True)
def _loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Refuse connections to anything but loopback addresses and local sockets.
    """
    connect, connect_ex = socket.socket.connect, socket.socket.connect_ex

    def checked(address: object) -> None:
        host = address[0] if isinstance(address, tuple) else None
        if isinstance(host, str) and not _is_loopback(host):
            raise PermissionError(f"tests may not connect to {host}")

    def guarded(self: socket.socket, address: object) -> None:
        checked(address)
        connect(self, address)  # type: ignore[arg-type]

    def guarded_ex(self: socket.socket, address: object) -> int:
        checked(address)
        return connect_ex(self, address)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", guarded)
    monkeypatch.setattr(socket.socket, "connect_ex", guarded_ex)


def _is_loopback(host: str) -> bool:
    if host in {"localhost", ""}:
        return True
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False
