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
import structlog

from service_runtime.database.engine import create_engine, sqlite_file
from service_runtime.database.revisions.compatibility import needs_revision
from service_runtime.database.revisions.phases import OutOfOrderError, Step
from service_runtime.database.usable import (
    DatabaseUnusableError,
    place_of,
    read_each_table,
    usable,
)

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

log = structlog.get_logger()

# An arbitrary number that no other lock in the database has.
_LOCK = 0x5E1B_3D6E

_FILE = re.compile(r"(\d{4})_\w+\.py")


async def migrate(url: str, package: str, step: Step = Step.ALL) -> str:
    """
    Run the revisions of *package* that the database at *url* lacks, or those of a *step* alone;
    return the revision that it has then.

    Processes that start at the same time wait for each other. A database of a newer version that
    this one works with is left as it is. Raises `DatabaseUnusableError` for one that does not
    answer, is damaged, needs a newer version, or another step first.
    """
    with usable(url):
        try:
            return await _migrate(url, package, step)
        except OutOfOrderError as refused:
            raise DatabaseUnusableError(f"{place_of(url)}: {refused}") from refused


async def migrate_at_start(url: str, package: str) -> None:
    """
    Migrate the database at *url* before a service serves, as `migrate` does.

    Another version may work on a PostgreSQL database at the same time, so nothing that it needs
    is taken away; the log says if that remains to be done, or if a newer version was here.
    """
    step = Step.EXPAND if sqlite_file(url) is None else Step.ALL
    found = await migrate(url, package, step)
    if found in _known(package):
        if found != newest_revision(package):
            log.warning("database.contract_pending", store=place_of(url), revision=found)
    else:
        log.warning("database.newer_version", store=place_of(url), revision=found)


async def _migrate(url: str, package: str, step: Step) -> str:
    engine = create_engine(url, application_name=f"{package} migrations", statement_seconds=None)
    try:
        path = sqlite_file(url)
        if path is None:
            return await _upgrade(engine, package, url, step)
        # This blocks the event loop, which has nothing else to do before the migration.
        with _locked(path.with_suffix(".migration-lock")):
            found = await _upgrade(engine, package, url, step)
            async with engine.connect() as db:
                await db.run_sync(read_each_table)
            return found
    finally:
        await engine.dispose()


async def check_current(url: str, package: str, step: Step = Step.ALL) -> None:
    """
    See that the database at *url* has all revisions of *package*, or with `Step.EXPAND` those
    that this version needs to serve; change nothing.

    Raises `DatabaseUnusableError`, which names both revisions, if it has others or none, and
    as `migrate` does.
    """
    path = sqlite_file(url)
    if path is not None and not path.exists():
        raise DatabaseUnusableError(f"{place_of(url)} does not exist")
    with usable(url):
        engine = create_engine(url, application_name=f"{package} check")
        try:
            async with engine.connect() as db:
                found = await db.run_sync(_revision)
                if await db.run_sync(_is_enough, package, found, step):
                    return
        finally:
            await engine.dispose()
    newest = newest_revision(package)
    has = f"the revision {found}" if found else "no tables of this service"
    raise DatabaseUnusableError(f"{place_of(url)} has {has}; this version needs {newest}")


async def pending(engine: AsyncEngine, package: str) -> bool:
    """
    Tell whether the database lacks revisions of *package*.
    """
    async with engine.connect() as db:
        return await db.run_sync(_revision) != newest_revision(package)


def newest_revision(package: str) -> str:
    """
    Return the newest revision of *package*: the highest number in the names of its files.
    """
    return max(_known(package))


def _known(package: str) -> set[str]:
    files = resources.files(package).joinpath("migrations", "versions").iterdir()
    return {found[1] for it in files if (found := _FILE.fullmatch(it.name))}


def _revision(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    found = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
    return None if found is None else str(found)


def _is_enough(connection: sa.Connection, package: str, found: str | None, step: Step) -> bool:
    known = _known(package)
    if found is None or found == max(known):
        return found is not None
    if found not in known:
        return needs_revision(connection) in known
    from service_runtime.database.revisions import phases, runs  # noqa: PLC0415 - as below

    missing = runs.lacking(runs.chain_of(package), found)
    return step is Step.EXPAND and all(it.phase == phases.CONTRACT for it in missing)


async def _upgrade(engine: AsyncEngine, package: str, url: str, step: Step) -> str:
    def upgrade(connection: sa.Connection) -> str:
        if connection.dialect.name == "postgresql":
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        found, known = _revision(connection), _known(package)
        if found == max(known):
            return found
        if found is not None and found not in known:
            if needs_revision(connection) not in known:
                raise DatabaseUnusableError(_too_new(url, found))
            return found
        # Most starts have nothing to migrate, and Alembic takes a fifth of their time.
        from service_runtime.database.revisions import runs  # noqa: PLC0415

        runs.upgrade(connection, package, found, step)
        return str(_revision(connection))

    async with engine.begin() as db:
        return await db.run_sync(upgrade)


def _too_new(url: str, revision: str) -> str:
    return (
        f"{place_of(url)} has the revision {revision}, which this version does not know: a newer"
        " version has migrated it. Start that version, or restore a backup of before"
    )


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
