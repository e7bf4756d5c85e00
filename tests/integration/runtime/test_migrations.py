"""
Migrations lead from nothing to what the code expects.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from config_service import schema as config_schema
from dispatch_service import schema as dispatch_schema
from shipedge.webhooks.runtime.database import create_engine
from shipedge.webhooks.runtime.migrations import migrate, pending

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
            "from shipedge.webhooks.runtime.migrations import migrate\n"
            "asyncio.run(migrate(sys.argv[1], 'dispatch_service'))\n",
            database_url,
            stderr=asyncio.subprocess.PIPE,
        )
        for _ in range(3)
    ]
    ended = [(await start.communicate())[1].decode() for start in starts]
    assert [start.returncode for start in starts] == [0, 0, 0], ended
