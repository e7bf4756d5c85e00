"""
A dispatch database, migrated, on SQLite and on PostgreSQL.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from dispatch_service.queue.postgresql import PostgresQueue
from dispatch_service.queue.protocol import Queue
from dispatch_service.queue.sqlite import SqliteQueue
from service_runtime.database.engine import create_engine
from tests.support.patience import give_time
from tests.support.templates import migrated_database


@pytest.fixture(autouse=True)
def _patient_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Let no limit of the store be reached because the machine is busy.
    """
    give_time(monkeypatch)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """
    Yield the URL of a migrated dispatch database: the test runs once on each kind.
    """
    with migrated_database(request, tmp_path, "dispatch_service") as url:
        yield url


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[AsyncEngine]:
    """
    Yield the engine of a migrated dispatch database.
    """
    engine = create_engine(database_url, application_name="tests")
    yield engine
    await engine.dispose()


@pytest.fixture
async def queue(store: AsyncEngine) -> AsyncIterator[Queue]:
    """
    Yield the queue of the database.
    """
    queue = SqliteQueue(store) if store.dialect.name == "sqlite" else PostgresQueue(store)
    yield queue
    await queue.close()
