"""
Errors of the database, in the log: never the values that it was given.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from config_service.store import schema as config_schema
from dispatch_service.storage import schema as dispatch_schema
from service_runtime.database.engine import create_engine, writing
from service_runtime.observability import logs
from service_runtime.process.failures import FailureLog
from service_runtime.rpc.status import public_error
from tests.support.kept_logging import logging_kept

pytestmark = pytest.mark.anyio

MARKER = "marker-value"
ROOT = Path(__file__).parents[4]


@contextmanager
def log_of_production() -> Iterator[StringIO]:
    """
    Log as a service in production does, into the text that is yielded.
    """
    written = StringIO()
    with logging_kept():
        logs.configure(level="debug", console=False)
        structlog.configure(
            logger_factory=structlog.WriteLoggerFactory(written), cache_logger_on_first_use=False
        )
        yield written


@pytest.fixture(scope="module", params=["config", "dispatch"])
def metadata(request: pytest.FixtureRequest) -> sa.MetaData:
    """
    Return the schema of each service.
    """
    schemas = {"config": config_schema.metadata, "dispatch": dispatch_schema.metadata}
    return schemas[request.param]


@pytest.fixture
async def engine(database_url: str, metadata: sa.MetaData) -> AsyncIterator[AsyncEngine]:
    """
    Yield an engine whose database has the tables of a service.
    """
    made = create_engine(database_url, application_name="tests")
    async with writing(made) as db:
        await db.run_sync(metadata.create_all)
    yield made
    await made.dispose()


def statements(table: sa.Table) -> Iterator[tuple[str, Any]]:
    """
    Yield statements that a database refuses, with a marker as the value of each column.
    """
    columns = [column.name for column in table.columns]
    values = dict.fromkeys(columns, MARKER)
    named, bound = ", ".join(columns), ", ".join(f":{name}" for name in columns)
    insert = f"INSERT INTO {table.name} ({named}, missing) VALUES ({bound}, 1)"  # noqa: S608
    wanted = " AND ".join(f"CAST({name} AS TEXT) = :{name}" for name in columns)
    select = f"SELECT missing FROM {table.name} WHERE {wanted}"  # noqa: S608
    yield insert, values
    yield insert, [values, values]
    yield insert.replace(", missing", "").replace(", 1)", ")"), values
    yield select, values


async def refused(db: AsyncConnection, statement: str, values: Any) -> None:
    """
    Log what the database says to a statement in all ways that the services have.
    """
    try:
        async with db.begin_nested():
            await db.execute(sa.text(statement), values)
    except sa.exc.SQLAlchemyError as error:
        FailureLog("work.failed").log(error)
        public_error(error)
        structlog.get_logger().exception("work.failed")
        logging.getLogger("library").warning("It failed: \n%r", error, exc_info=error)


@pytest.mark.heavy
async def test_no_value_of_any_table_is_logged(engine: AsyncEngine, metadata: sa.MetaData) -> None:
    """
    Whatever statement a store sends, no line about its failure has a value of it.
    """
    with log_of_production() as log:
        async with engine.connect() as db, db.begin():
            for table in metadata.tables.values():
                for statement, values in statements(table):
                    await refused(db, statement, values)

    logged = log.getvalue()
    assert logged.count("work.failed") >= 3 * len(metadata.tables)
    assert "library.logged" in logged
    assert "Traceback" in logged
    assert MARKER not in logged


async def test_row_that_exists_is_not_shown(engine: AsyncEngine) -> None:
    """
    PostgreSQL quotes the key of a row that exists; the log has table and constraint instead.
    """
    things = sa.Table("things", sa.MetaData(), sa.Column("thing", sa.Text, primary_key=True))
    async with writing(engine) as db:
        await db.run_sync(things.create)
        await db.execute(sa.insert(things).values(thing=MARKER))
    with pytest.raises(sa.exc.IntegrityError) as raised:
        async with writing(engine) as db:
            await db.execute(sa.insert(things).values(thing=MARKER))
    with log_of_production() as log:
        FailureLog("work.failed").log(raised.value)

    logged = log.getvalue()
    shown = "sqlstate 23505, table things, constraint things_pkey"
    assert (shown if engine.dialect.name == "postgresql" else "SQLITE_CONSTRAINT") in logged
    assert MARKER not in logged


@pytest.mark.slow
def test_task_that_nobody_waits_for_shows_no_values(database_url: str) -> None:
    """
    What the event loop logs of an error is a line of ours.
    """

    async def fail() -> None:
        engine = create_engine(database_url, application_name="tests")
        try:
            async with engine.connect() as db:
                await db.execute(sa.text("SELECT missing FROM nowhere WHERE x = :x"), {"x": MARKER})
        finally:
            await engine.dispose()

    async def forget() -> None:
        task = asyncio.create_task(fail())
        await asyncio.wait([task])
        del task
        gc.collect()

    with log_of_production() as log:
        asyncio.run(forget())

    assert "Task exception was never retrieved" in log.getvalue()
    assert MARKER not in log.getvalue()


def test_engines_are_made_in_one_place() -> None:
    """
    All modules use engines that hide parameters: no other module makes one.
    """
    sources = [
        path
        for folder in ("config_service", "dispatch_service", "service_runtime")
        for path in (ROOT / folder).rglob("*.py")
    ]
    made = re.compile(r"create_(async_)?engine\((?![^,]*,\s*application_name)|asyncpg\.connect")
    found = {path.name: path.read_text() for path in sources if made.search(path.read_text())}

    assert set(found) <= {"engine.py"} | {"migrations.py"}
    text = found["engine.py"]
    assert text.count("hide_parameters=True") == text.count("create_async_engine(")
