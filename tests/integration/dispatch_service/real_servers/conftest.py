"""
Each server runs once in a process of the tests.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from dispatch_service.egress.transport import GuardedTransport
from tests.support.node_packages import modules
from tests.support.real_servers.apache import apache as run_apache
from tests.support.real_servers.express import express as run_express
from tests.support.real_servers.gunicorn import gunicorn as run_gunicorn
from tests.support.real_servers.haproxy import haproxy as run_haproxy
from tests.support.real_servers.nginx import nginx as run_nginx
from tests.support.real_servers.php import php_server
from tests.support.real_servers.site import Files, Site
from tests.support.real_servers.verdicts import CountedConnections
from tests.support.receivers import HOST, Receiver, ca_pem
from tests.support.transports import guarded_transport

__all__ = ["modules"]


def _files(factory: pytest.TempPathFactory, name: str) -> Files:
    return Files.write(factory.mktemp(name))


@pytest.fixture(scope="session")
def apache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """
    Yield Apache with PHP.
    """
    with run_apache(_files(tmp_path_factory, "apache")) as site:
        yield site


@pytest.fixture(scope="session")
def nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """
    Yield nginx with PHP.
    """
    with run_nginx(_files(tmp_path_factory, "nginx")) as site:
        yield site


@pytest.fixture(scope="session")
def haproxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """
    Yield HAProxy in front of gunicorn.
    """
    with run_haproxy(_files(tmp_path_factory, "haproxy")) as site:
        yield site


@pytest.fixture(scope="session")
def gunicorn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """
    Yield gunicorn.
    """
    with run_gunicorn(_files(tmp_path_factory, "gunicorn")) as site:
        yield site


@pytest.fixture(scope="session")
def php(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """
    Yield PHP's own server.
    """
    with php_server(_files(tmp_path_factory, "php")) as site:
        yield site


@pytest.fixture(scope="session")
def express(tmp_path_factory: pytest.TempPathFactory, modules: Path) -> Iterator[Site]:
    """
    Yield Express.
    """
    with run_express(_files(tmp_path_factory, "express"), modules) as site:
        yield site


@pytest.fixture
def connections() -> CountedConnections:
    """
    Return what counts the connections of the test's transport.
    """
    return CountedConnections()


@pytest.fixture
async def transport(connections: CountedConnections) -> AsyncIterator[GuardedTransport]:
    """
    Yield a transport that trusts the servers' certificates.
    """
    trusted = Receiver(scheme="https", host=HOST, port=0, ca_pem=ca_pem())
    async with guarded_transport(trusted, connect=connections) as opened:
        yield opened
