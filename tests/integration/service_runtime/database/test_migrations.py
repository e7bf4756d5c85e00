"""
Migrations lead from nothing to what the code expects.
"""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.ext.asyncio import AsyncEngine

from config_service.store import schema as config_schema
from dispatch_service.storage import schema as dispatch_schema
from service_runtime.database.engine import create_engine
from service_runtime.database.migrations import check_current, migrate, newest_revision, pending
from service_runtime.database.revisions import runs
from service_runtime.database.usable import DatabaseUnusableError
from tests.support import preloaded

pytestmark = pytest.mark.anyio

SERVICES = pytest.mark.parametrize(
    ("package", "metadata"),
    [
        ("config_service", config_schema.metadata),
        ("dispatch_service", dispatch_schema.metadata),
    ],
)

ROWS_OF_0005 = (
    "INSERT INTO wishes VALUES ('o', 'due', 3, 'DUE', 'https://a:443', true, NOW, NOW)",
    "INSERT INTO wishes VALUES ('o', 'parked', 3, 'PARKED', NULL, true, NOW, NOW)",
    "INSERT INTO wishes VALUES ('o', 'cancelled', 3, 'CANCELLED', NULL, true, NOW, NOW)",
    "INSERT INTO order_lanes VALUES ('o', 'due', 'orders/1', 9, 7)",
    "INSERT INTO endpoint_states VALUES ('o', 'https://a:443', NOW, 4, NOW)",
    """
    INSERT INTO deliveries (owner, delivery_id, account, event_id, subscription, event_type,
        payload_version, endpoint, url_shown, url_hash, resource, sequence, occurred_at,
        create_time, state, due_time, expire_time, lease_token, begun, step, interrupted,
        next_trigger, lane_number)
    VALUES ('o', '00000000000000000000000000000001', 1, 'e', 'due', 'orders/shipped', 'v2',
        'https://a:443', 'https://a/', BYTES, 'orders/1', 1, NOW, NOW, 'PENDING', NOW, NOW, 0,
        3, 2, 0, 'RETRY', 7)
    """,
)

COPIED = (
    "owner, account, subscription, event_type, payload_version, endpoint, url_shown, url_hash,"
    " resource, sequence, occurred_at, create_time, expire_time, lease_token, attempt_count,"
    " interrupted, next_trigger"
)

# State, due time and used retries: one in a sequence, a retry, one without a slot, an ended one.
WAITING_IN_0006 = (
    "'PENDING', NULL, NULL, 0",
    "'PENDING', NULL, EARLIER, 1",
    "'PENDING', NULL, EARLIER, 0",
    "'FAILED', expire_time, NULL, 2",
)

# What deliveries showed of URLs before their paths were secret.
SHOWN_IN_0008 = ("https://a/hook", "https://a/in/key?…", "https://a/?…", "")

ATTEMPTS_OF_DELIVERIES = """
    INSERT INTO attempts (owner, delivery_id, number, account, event_id, subscription, event_type,
        payload_version, resource, url_shown, url_hash, attempt_trigger, status, start_time)
    SELECT owner, delivery_id, 1, account, event_id, subscription, event_type,
        payload_version, resource, url_shown, url_hash, 'EVENT', 'SUCCESS', create_time
    FROM deliveries
"""


def _differences(connection: sa.Connection, metadata: sa.MetaData) -> list[Any]:
    context = MigrationContext.configure(
        connection, opts={"compare_type": True, "compare_server_default": False}
    )
    return list(compare_metadata(context, metadata))


@pytest.mark.slow
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
    database_url: str, package: str, metadata: sa.MetaData, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Every start migrates; on a current database nothing happens, and Alembic is not needed.
    """
    await migrate(database_url, package)
    monkeypatch.delattr(runs, "upgrade")
    await migrate(database_url, package)
    engine = create_engine(database_url, application_name="tests")
    async with engine.connect() as db:
        names = await db.run_sync(lambda connection: sa.inspect(connection).get_table_names())
    await engine.dispose()
    assert set(metadata.tables) <= set(names)


@pytest.mark.parametrize("package", ["config_service", "dispatch_service"])
def test_files_are_named_after_their_revisions(package: str) -> None:
    """
    What the newest is can be told without Alembic.
    """
    scripts = ScriptDirectory.from_config(runs.config_of(package))
    assert scripts.get_heads() == [newest_revision(package)]
    for script in scripts.walk_revisions():
        assert Path(script.path).name.startswith(f"{script.revision}_")


@SERVICES
async def test_check_changes_nothing(
    database_url: str, package: str, metadata: sa.MetaData
) -> None:
    """
    A database that lacks revisions, or has those of a newer version that contracted it, is
    refused with both revisions; a current one is not, and an empty one stays empty.
    """
    newest = newest_revision(package)
    with pytest.raises(DatabaseUnusableError, match=r"does not exist|no tables of this service"):
        await check_current(database_url, package)
    engine = create_engine(database_url, application_name="tests")
    assert await pending(engine, package)

    await migrate(database_url, package)
    await check_current(database_url, package)

    async with engine.begin() as db:
        await db.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
        await db.execute(sa.text("UPDATE schema_compatibility SET needs_revision = '9999'"))
    expected = f"has the revision 9999; this version needs {newest}"
    with pytest.raises(DatabaseUnusableError, match=expected):
        await check_current(database_url, package)
    await engine.dispose()


@pytest.mark.slow
@pytest.mark.parametrize("package", ["config_service", "dispatch_service"])
def test_check_of_the_command(package: str, tmp_path: Path) -> None:
    """
    `migrate --check` fails with one line before the migration, and succeeds after it.
    """
    environment = {
        **os.environ,
        "SHIPEDGE_ENVIRONMENT": "development",
        "SHIPEDGE_DATA_DIR": str(tmp_path),
    }
    code, output = preloaded.run(package, environment, "migrate", "--check")
    assert code == 1
    assert re.fullmatch(rf"{package}: .* does not exist\n", output)

    assert preloaded.run(package, environment, "migrate") == (0, "")
    assert preloaded.run(package, environment, "migrate", "--check") == (0, "")


@pytest.mark.slow
async def test_processes_that_start_at_once(database_url: str, tmp_path: Path) -> None:
    """
    Several processes may start at the same time on one database.
    """
    environment = {
        **os.environ,
        "SHIPEDGE_ENVIRONMENT": "development",
        "SHIPEDGE_DATA_DIR": str(tmp_path),
        "SHIPEDGE_DISPATCH_DATABASE_URL": database_url,
    }
    log = tmp_path / "log"
    starts = [
        await preloaded.start("dispatch_service", environment, log, ["migrate"]) for _ in range(3)
    ]
    assert [await start.wait() for start in starts] == [0, 0, 0], log.read_text()


async def test_suspensions_migrate_there_and_back(database_url: str) -> None:
    """
    Revision 0005 keeps the rows of revision 0004; its downgrade keeps what 0004 can express.
    """
    engine = create_engine(database_url, application_name="tests")
    await step(engine, command.upgrade, "0004")
    now = "1" if engine.dialect.name == "sqlite" else "current_timestamp"
    insert = sa.text(f"INSERT INTO parkings VALUES ('accounts/1', :name, 3, :active, {now}, {now})")  # noqa: S608 - words of ours
    async with engine.begin() as db:
        for name, active in (("a", True), ("b", False)):
            await db.execute(insert, {"name": name, "active": active})

    await step(engine, command.upgrade, "0005")
    rows = await read_rows(engine, "SELECT subscription, fate, revision FROM wishes")
    assert rows == [("a", "DUE", 3), ("b", "PARKED", 3)]

    await step(engine, command.downgrade, "0004")
    rows = await read_rows(engine, "SELECT subscription, active FROM parkings")
    assert [(name, bool(active)) for name, active in rows] == [("a", True), ("b", False)]
    await engine.dispose()


async def test_data_of_the_previous_revision_migrates(database_url: str) -> None:
    """
    Revision 0006 renames tables and columns: what stands in them stays, there and back.
    """
    engine = create_engine(database_url, application_name="tests")
    await step(engine, command.upgrade, "0005")
    await _fill_0005(engine)

    await step(engine, command.upgrade, "0006")
    assert await read_rows(
        engine, "SELECT subscription, action, endpoint FROM backlog_updates"
    ) == [
        ("cancelled", "CANCEL", None),
        ("due", "RESUME", "https://a:443"),
        ("parked", "SUSPEND", None),
    ]
    assert await read_rows(engine, "SELECT resource, next_number, head_number FROM sequences") == [
        ("orders/1", 9, 7)
    ]
    columns = "attempt_count, retries_used, sequence_position"
    assert await read_rows(engine, f"SELECT {columns} FROM deliveries") == [(3, 2, 7)]  # noqa: S608 - words of ours
    assert await read_rows(
        engine, "SELECT trips FROM endpoint_states WHERE open_until IS NOT NULL"
    ) == [(4,)]

    await step(engine, command.downgrade, "0005")
    assert await read_rows(engine, "SELECT subscription, fate FROM wishes") == [
        ("cancelled", "CANCELLED"),
        ("due", "DUE"),
        ("parked", "PARKED"),
    ]
    assert await read_rows(engine, "SELECT begun, step, lane_number FROM deliveries") == [(3, 2, 7)]
    assert len(await read_rows(engine, "SELECT * FROM order_lanes")) == 1
    await engine.dispose()


async def test_what_waits_gets_its_reason(database_url: str) -> None:
    """
    Revision 0007 notes why deliveries wait that were stored before it.
    """
    engine = create_engine(database_url, application_name="tests")
    await step(engine, command.upgrade, "0005")
    await _fill_0005(engine)
    await step(engine, command.upgrade, "0006")
    sqlite = engine.dialect.name == "sqlite"
    async with engine.begin() as db:
        for number, changed in enumerate(WAITING_IN_0006, start=2):
            await db.execute(sa.text(_changed_copy(number, changed, sqlite=sqlite)))

    await step(engine, command.upgrade, "0007")

    query = "SELECT delivery_id, wait_reason FROM deliveries"
    reasons = [reason for _, reason in await read_rows(engine, query)]
    assert reasons == ["inactive", "order", "schedule", "backlog", None]
    since = "SELECT trips FROM endpoint_states WHERE open_since = update_time"
    assert await read_rows(engine, since) == [(4,)]
    await engine.dispose()


async def test_suspects_migrate_there_and_back(database_url: str) -> None:
    """
    Revision 0008 adds two empty tables, and its downgrade takes them with what is in them.
    """
    engine = create_engine(database_url, application_name="tests")
    await step(engine, command.upgrade, "0008")
    now = "1" if engine.dialect.name == "sqlite" else "current_timestamp"
    async with engine.begin() as db:
        await db.execute(sa.text(f"INSERT INTO control_times VALUES ('host-1-a', {now})"))  # noqa: S608 - words of ours

    await step(engine, command.downgrade, "-1")
    await step(engine, command.upgrade, "0008")

    assert await read_rows(engine, "SELECT * FROM control_times") == []
    assert await read_rows(engine, "SELECT * FROM suspect_attempts") == []
    await engine.dispose()


async def test_paths_are_hidden(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Revision 0012 rewrites what deliveries and attempts show of their URLs, in batches.
    """
    engine = create_engine(database_url, application_name="tests")
    await step(engine, command.upgrade, "0005")
    await _fill_0005(engine)
    await step(engine, command.upgrade, "0008")
    sqlite = engine.dialect.name == "sqlite"
    async with engine.begin() as db:
        for number, shown in enumerate(SHOWN_IN_0008, start=2):
            await db.execute(sa.text(_changed_copy(number, WAITING_IN_0006[0], sqlite=sqlite)))
            same = f"delivery_id = {_delivery_id(number, sqlite=sqlite)}"
            update = f"UPDATE deliveries SET url_shown = '{shown}' WHERE {same}"  # noqa: S608 - words of ours
            await db.execute(sa.text(update))
        await db.execute(sa.text(ATTEMPTS_OF_DELIVERIES))
    revision = importlib.import_module("dispatch_service.migrations.versions.0012_shown_urls")
    monkeypatch.setattr(revision, "BATCH", 2)

    await step(engine, command.upgrade, "0012")

    expected = [("",), ("https://a/in/…#00",), *[("https://a/…#00",)] * 3]
    for table in ("deliveries", "attempts"):
        assert await read_rows(engine, f"SELECT url_shown FROM {table}") == expected  # noqa: S608 - words of ours
    assert await read_rows(engine, "SELECT * FROM urls") == []
    await engine.dispose()


async def _fill_0005(engine: AsyncEngine) -> None:
    sqlite = engine.dialect.name == "sqlite"
    async with engine.begin() as db:
        for statement in ROWS_OF_0005:
            dated = statement.replace("NOW", "1" if sqlite else "current_timestamp")
            await db.execute(sa.text(dated.replace("BYTES", "X'00'" if sqlite else "'\\x00'")))


def _changed_copy(number: int, changed: str, *, sqlite: bool) -> str:
    earlier = "expire_time - 1" if sqlite else "expire_time - interval '1 second'"
    return (
        f"INSERT INTO deliveries ({COPIED}, event_id, delivery_id, state, end_time, due_time,"  # noqa: S608 - words of ours
        f" retries_used) SELECT {COPIED}, 'e{number}', {_delivery_id(number, sqlite=sqlite)},"
        f" {changed.replace('EARLIER', earlier)} FROM deliveries WHERE event_id = 'e'"
    )


def _delivery_id(number: int, *, sqlite: bool) -> str:
    return f"'{number:032}'" if sqlite else f"CAST('{number:032}' AS uuid)"


async def step(
    engine: AsyncEngine,
    move: Callable[[Config, str], None],
    revision: str,
    package: str = "dispatch_service",
) -> None:
    """
    Move a database to a revision.
    """
    config = runs.config_of(package)

    def run(connection: sa.Connection) -> None:
        config.attributes["connection"] = connection
        move(config, revision)

    async with engine.begin() as db:
        await db.run_sync(run)


async def read_rows(engine: AsyncEngine, query: str) -> list[Any]:
    """
    Return the rows of a query in order.
    """
    async with engine.connect() as db:
        return sorted(tuple(row) for row in (await db.execute(sa.text(query))).all())
