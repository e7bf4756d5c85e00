"""
Migrations lead from nothing to what the code expects.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext

from config_service.store import schema as config_schema
from dispatch_service.storage import schema as dispatch_schema
from service_runtime.database import migrations
from service_runtime.database.engine import create_engine
from service_runtime.database.migrations import migrate, pending

pytestmark = pytest.mark.anyio

SERVICES = pytest.mark.parametrize(
    ("package", "metadata"),
    [
        ("config_service", config_schema.metadata),
        ("dispatch_service", dispatch_schema.metadata),
    ],
)


def _differences(connection: sa.Connection, metadata: sa.MetaData) -> list[Any]:
    context = MigrationContext.configure(
        connection, opts={"compare_type": True, "compare_server_default": False}
    )
    return list(compare_metadata(context, metadata))


@SERVICES
async def test_database_is_as_the_code_expects(
    database_url: str, package: str, metadata: sa.MetaData
) -> None:
    """
    After the migrations there is no difference to the tables as declared.
    """
    engine = create_engine(database_url, application_name="tests")
    assert await pending(engine, package)

    await migrate(database_url, package)

    assert not await pending(engine, package)
    async with engine.connect() as db:
        assert await db.run_sync(_differences, metadata) == []
    await engine.dispose()


@SERVICES
async def test_second_run_changes_nothing(
    database_url: str, package: str, metadata: sa.MetaData
) -> None:
    """
    Every start migrates; on a current database nothing happens.
    """
    await migrate(database_url, package)
    await migrate(database_url, package)
    engine = create_engine(database_url, application_name="tests")
    async with engine.connect() as db:
        names = await db.run_sync(lambda connection: sa.inspect(connection).get_table_names())
    await engine.dispose()
    assert set(metadata.tables) <= set(names)


async def test_processes_that_start_at_once(database_url: str) -> None:
    """
    Several processes may start at the same time on one database.
    """
    starts = [
        await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            "import asyncio, sys\n"
            "from service_runtime.database.migrations import migrate\n"
            "asyncio.run(migrate(sys.argv[1], 'dispatch_service'))\n",
            database_url,
            stderr=asyncio.subprocess.PIPE,
        )
        for _ in range(3)
    ]
    ended = [(await start.communicate())[1].decode() for start in starts]
    assert [start.returncode for start in starts] == [0, 0, 0], ended


async def test_what_is_to_be_parked_survives_the_way_there_and_back(database_url: str) -> None:
    """
    Revision 0005 keeps what was noted before it, and what can be said without it.
    """
    engine = create_engine(database_url, application_name="tests")
    config = migrations._config("dispatch_service")

    async def go(step: Callable[[Config, str], None], revision: str) -> None:
        def run(connection: sa.Connection) -> None:
            config.attributes["connection"] = connection
            step(config, revision)

        async with engine.begin() as db:
            await db.run_sync(run)

    async def read(query: str) -> list[Any]:
        async with engine.connect() as db:
            return [tuple(row) for row in (await db.execute(sa.text(query))).all()]

    await go(command.upgrade, "0004")
    now = "1" if engine.dialect.name == "sqlite" else "current_timestamp"
    noted = sa.text(f"INSERT INTO parkings VALUES ('accounts/1', :name, 3, :active, {now}, {now})")  # noqa: S608 - words of ours
    async with engine.begin() as db:
        for name, active in (("a", True), ("b", False)):
            await db.execute(noted, {"name": name, "active": active})

    await go(command.upgrade, "0005")
    wishes = "SELECT subscription, fate, endpoint, revision FROM wishes ORDER BY subscription"
    assert await read(wishes) == [("a", "DUE", None, 3), ("b", "PARKED", None, 3)]

    await go(command.downgrade, "0004")
    rows = await read("SELECT subscription, active FROM parkings ORDER BY subscription")
    assert [(name, bool(active)) for name, active in rows] == [("a", True), ("b", False)]
    await engine.dispose()
