"""
A config service on a free port, on SQLite and on PostgreSQL.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from config_service.api.confirmations import Confirmations
from config_service.api.feed import ChangeNotifier
from config_service.app import build_server
from config_service.settings import Settings
from config_service.store.audit import audit_log
from config_service.store.store import Sealing, Store
from service_runtime.database.engine import create_engine
from service_runtime.keys.keyring import KeyRing
from service_runtime.process.progress import Readiness
from service_runtime.rpc import server
from service_runtime.rpc.caller_directory import CallerDirectory
from service_runtime.rpc.callers import DEVELOPMENT, Caller
from service_runtime.rpc.health import ServerHealth
from service_runtime.rules.urls import UrlRules
from service_runtime.settings.reading import read_settings
from shipedge.webhooks.client import channel
from shipedge.webhooks.config.v1 import (
    config_admin_service_pb2_grpc,
    config_service_pb2_grpc,
)
from shipedge.webhooks.feed.v1 import (
    feed_service_pb2_grpc,
)
from tests.support.databases import free_port
from tests.support.patience import give_time
from tests.support.templates import migrated_database


@dataclass
class Running:
    """
    A running config service, its clients and its database; *caller* is who calls. Those in the
    directory of *callers* make portal links.
    """

    engine: AsyncEngine
    config: config_service_pb2_grpc.ConfigServiceAsyncStub
    feed: feed_service_pb2_grpc.FeedServiceAsyncStub
    admin: config_admin_service_pb2_grpc.ConfigAdminServiceAsyncStub
    channel: grpc.aio.Channel
    callers: CallerDirectory
    caller: Caller = DEVELOPMENT


@pytest.fixture(autouse=True)
def _patient_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Let no limit of the store be reached because the machine is busy.
    """
    give_time(monkeypatch)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """
    Yield the URL of a migrated configuration database: the test runs once on each kind.
    """
    with migrated_database(request, tmp_path, "config_service") as url:
        yield url


@pytest.fixture
async def running(database_url: str) -> AsyncIterator[Running]:
    """
    Yield a config service with the rules of production, without TLS.
    """
    engine = create_engine(database_url, application_name="tests")
    address = f"127.0.0.1:{free_port()}"
    environment: dict[str, Any] = {
        "SHIPEDGE_ENVIRONMENT": "development",
        "SHIPEDGE_CONFIG_LISTEN": address,
        "SHIPEDGE_CONFIG_EGRESS_RANGES": "203.0.113.0/28",
        "SHIPEDGE_CONFIG_FEED_HEARTBEAT": "200ms",
        "SHIPEDGE_CONFIG_FEED_POLL": "100ms",
        "SHIPEDGE_CONFIG_OWNER_SUBSCRIPTIONS": "60",
        "SHIPEDGE_CONFIG_OWNER_CREDENTIALS": "7",
        "SHIPEDGE_CONFIG_OWNER_CLIENT_CERTIFICATES": "4",
    }
    settings = read_settings(Settings, environment)
    notifier = ChangeNotifier()
    ring = KeyRing({"test": b"k" * 32}, b"h" * 32)
    confirmations = Confirmations(engine, notifier)
    audit = audit_log(ring)
    await audit.begin(engine)
    limits = settings.owner_limits()
    store = Store(engine, Sealing(ring, UrlRules()), audit, confirmations.changed, limits)
    health = ServerHealth((), Readiness([]).check)
    acting: list[Running] = []
    callers = CallerDirectory()
    grpc_server = build_server(
        settings,
        store,
        notifier,
        confirmations,
        health,
        lambda *_: acting[0].caller,
        callers=callers,
    )
    await grpc_server.start()
    async with channel.connect(address) as connection:
        acting.append(
            Running(
                engine,
                config_service_pb2_grpc.ConfigServiceStub(connection),
                feed_service_pb2_grpc.FeedServiceStub(connection),
                config_admin_service_pb2_grpc.ConfigAdminServiceStub(connection),
                connection,
                callers,
            )
        )
        yield acting[0]
    await server.stop(grpc_server, 0)
    await engine.dispose()
