"""
Transactions whose task is cancelled in the midst of a statement, on SQLite.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, closing
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from service_runtime.database.engine import create_engine, reading, writing

pytestmark = pytest.mark.anyio

Begin = Callable[[AsyncEngine], AbstractAsyncContextManager[AsyncConnection]]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """
    Return the file of a database with a table.
    """
    path = tmp_path / "test.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE things (thing_id INTEGER)")
        db.executemany("INSERT INTO things VALUES (?)", [(number,) for number in range(10)])
        db.commit()
    return path


@pytest.fixture
async def engine(file: Path) -> AsyncIterator[AsyncEngine]:
    """
    Yield an engine of that database.
    """
    made = create_engine(f"sqlite:///{file}", application_name="tests")
    yield made
    await made.dispose()


async def cancelled_in(begin: Begin, engine: AsyncEngine, statement: str) -> asyncio.Task[None]:
    """
    Run a statement whose rows call `gate`, and cancel its task while the driver is in it. The
    returned task refers to all that the cancelled one has left, as a traceback does.
    """
    reached, opened = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def gate(value: int) -> int:
        loop.call_soon_threadsafe(reached.set)
        opened.wait(60)
        return value

    async def run() -> None:
        async with begin(engine) as db:
            raw = await db.get_raw_connection()
            assert raw.driver_connection is not None
            await raw.driver_connection.create_function("gate", 1, gate)
            await db.exec_driver_sql(statement)

    task = asyncio.create_task(run())
    await reached.wait()
    task.cancel()
    await asyncio.sleep(0)
    opened.set()
    await asyncio.wait([task])
    assert task.cancelled()
    return task


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE things SET thing_id = thing_id + 1 RETURNING gate(thing_id)",
        "INSERT INTO things VALUES (10), (11) RETURNING gate(thing_id)",
        "SELECT gate(thing_id) FROM things",
    ],
)
async def test_cancelled_writer_leaves_no_lock(
    engine: AsyncEngine, file: Path, statement: str
) -> None:
    """
    Others can write at once, even if it had rows left to read; what it wrote is rolled back.
    """
    left = await cancelled_in(writing, engine, statement)

    with closing(sqlite3.connect(file, timeout=0, isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        (found,) = db.execute("SELECT group_concat(thing_id) FROM things").fetchone()
    assert found == "0,1,2,3,4,5,6,7,8,9"
    assert left.done()


async def test_cancelled_reader_does_not_keep_its_view(engine: AsyncEngine, file: Path) -> None:
    """
    The log of changes is emptied after it, instead of growing as long as something refers to it.
    """
    left = await cancelled_in(reading, engine, "SELECT gate(thing_id) FROM things")

    with closing(sqlite3.connect(file, timeout=0, isolation_level=None)) as db:
        db.execute("INSERT INTO things VALUES (11)")
        busy, *_ = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    assert busy == 0
    assert left.done()
