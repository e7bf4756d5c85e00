"""
Migrations. Each service has `migrations/` in its package and migrates its database when it
starts; `revisions` does it with Alembic.
"""

from __future__ import annotations

import fcntl
import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

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

_FILE = re.compile(r"(\d{4})_\w+\.py")


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


async def check_current(url: str, package: str) -> None:
    """
    See that the database at *url* has the newest revision of *package*; change nothing.

    Raises `DatabaseUnusableError`, which names both revisions, if it has another one or none, and
    as `migrate` does.
    """
    path = sqlite_file(url)
    if path is not None and not path.exists():
        raise DatabaseUnusableError(f"{place_of(url)} does not exist")
    with usable(url):
        engine = create_engine(url, application_name=f"{package} check")
        try:
            async with engine.connect() as db:
                found = await db.run_sync(_revisions)
        finally:
            await engine.dispose()
    newest = newest_revision(package)
    if found != [newest]:
        has = f"the revision {', '.join(found)}" if found else "no tables of this service"
        raise DatabaseUnusableError(f"{place_of(url)} has {has}; this version needs {newest}")


async def pending(engine: AsyncEngine, package: str) -> bool:
    """
    Tell whether the database lacks revisions of *package*.
    """
    async with engine.connect() as db:
        return not await db.run_sync(_is_current, package)


def newest_revision(package: str) -> str:
    """
    Return the newest revision of *package*: the highest number in the names of its files.
    """
    files = resources.files(package).joinpath("migrations", "versions").iterdir()
    return max(found[1] for it in files if (found := _FILE.fullmatch(it.name)))


def _is_current(connection: sa.Connection, package: str) -> bool:
    return _revisions(connection) == [newest_revision(package)]


def _revisions(connection: sa.Connection) -> list[str]:
    if not sa.inspect(connection).has_table("alembic_version"):
        return []
    found = connection.execute(sa.text("SELECT version_num FROM alembic_version"))
    return list(found.scalars())


async def _upgrade(engine: AsyncEngine, package: str, url: str) -> None:
    def upgrade(connection: sa.Connection) -> None:
        if connection.dialect.name == "postgresql":
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        if _is_current(connection, package):
            return
        # Most starts have nothing to migrate, and Alembic takes a fifth of their time.
        from service_runtime.database import revisions  # noqa: PLC0415

        revisions.upgrade(connection, package, url)

    async with engine.begin() as db:
        await db.run_sync(upgrade)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
