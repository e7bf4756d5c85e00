"""
Migrations with Alembic. Each service has `migrations/` in its package and migrates its
database when it starts.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa
from alembic import command, context
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from service_runtime.database.engine import create_engine, sqlite_file
from service_runtime.database.usable import (
    DatabaseUnusableError,
    place_of,
    read_each_table,
    usable,
)

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

# An arbitrary number that no other lock in the database has.
_LOCK = 0x5E1B_3D6E


async def migrate(url: str, package: str) -> None:
    """
    Migrate the database at *url* to the newest revision of *package*.

    Processes that start at the same time wait for each other. Raises `DatabaseUnusableError` for
    a database that does not answer, is damaged, or was migrated by a newer version.
    """
    with usable(url):
        await _migrate(url, package)


async def _migrate(url: str, package: str) -> None:
    engine = create_engine(url, application_name=f"{package} migrations", statement_seconds=None)
    try:
        path = sqlite_file(url)
        if path is None:
            await _upgrade(engine, package, url)
        else:
            # This blocks the event loop, which has nothing else to do before the migration.
            with _locked(path.with_suffix(".migration-lock")):
                await _upgrade(engine, package, url)
                async with engine.connect() as db:
                    await db.run_sync(read_each_table)
    finally:
        await engine.dispose()


async def pending(engine: AsyncEngine, package: str) -> bool:
    """
    Tell whether the database lacks revisions of *package*.
    """
    heads = set(ScriptDirectory.from_config(_config(package)).get_heads())
    async with engine.connect() as db:
        current = await db.run_sync(
            lambda connection: MigrationContext.configure(connection).get_current_heads()
        )
    return set(current) != heads


async def _upgrade(engine: AsyncEngine, package: str, url: str) -> None:
    config = _config(package)

    def upgrade(connection: sa.Connection) -> None:
        if connection.dialect.name == "postgresql":
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        _check_known(connection, config, url)
        config.attributes["connection"] = connection
        command.upgrade(config, "head")

    async with engine.begin() as db:
        await db.run_sync(upgrade)


def _check_known(connection: sa.Connection, config: Config, url: str) -> None:
    known = {it.revision for it in ScriptDirectory.from_config(config).walk_revisions()}
    current = set(MigrationContext.configure(connection).get_current_heads())
    if newer := ", ".join(sorted(current - known)):
        raise DatabaseUnusableError(
            f"{place_of(url)} has the revision {newer}, which this version does not know: a newer"
            " version has migrated it. Start that version, or restore a backup of before"
        )


def _config(package: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(resources.files(package) / "migrations"))
    return config


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def run_environment(metadata: sa.MetaData) -> None:
    """
    Run the migrations; `migrations/env.py` of each service calls this.
    """
    connection: sa.Connection | None = context.config.attributes.get("connection")
    if connection is None:
        raise RuntimeError("migrations run through service_runtime.database.migrations.migrate")
    context.configure(
        connection=connection,
        target_metadata=metadata,
        render_as_batch=connection.dialect.name == "sqlite",
        transaction_per_migration=False,
    )
    with context.begin_transaction():
        context.run_migrations()
