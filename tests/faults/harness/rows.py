"""
What stands in the services' databases.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import sqlalchemy as sa

from dispatch_service.storage.schema import deliveries, events
from service_runtime.database.engine import create_engine, reading, writing

PAUSE_SECONDS = 0.25


async def select(url: str, query: sa.Executable) -> Sequence[Any]:
    """
    Run a query.
    """
    engine = create_engine(url, application_name="fault-test")
    try:
        async with reading(engine) as db:
            return (await db.execute(query)).all()
    finally:
        await engine.dispose()


async def execute(url: str, *statements: str | sa.Executable) -> None:
    """
    Run statements in one transaction.
    """
    engine = create_engine(url, application_name="fault-test")
    try:
        async with writing(engine) as db:
            for statement in statements:
                await db.execute(sa.text(statement) if isinstance(statement, str) else statement)
    finally:
        await engine.dispose()


async def states(url: str) -> Counter[str]:
    """
    Count the deliveries by state; those that failed also by the kind of failure.
    """
    columns = deliveries.c
    query = sa.select(columns.state, columns.failure_kind, sa.func.count())
    counts: Counter[str] = Counter()
    for state, kind, count in await select(
        url, query.group_by(columns.state, columns.failure_kind)
    ):
        failed = state == "FAILED"
        counts[f"{state} {kind}" if failed else state] += count
    return counts


def shown(counts: Counter[str]) -> str:
    """
    Write counts as a text.
    """
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items())) or "none"


def failed(counts: Counter[str]) -> int:
    """
    Count the deliveries that failed.
    """
    return sum(count for name, count in counts.items() if name.startswith("FAILED"))


def unfinished(counts: Counter[str]) -> int:
    """
    Count the deliveries that have not ended.
    """
    return counts["PENDING"] + counts["DELIVERING"]


async def all_ended(url: str, seconds: float) -> bool:
    """
    Wait until all deliveries have ended and all events are matched; return whether they have.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while unfinished(await states(url)) or await _unmatched(url):
                await asyncio.sleep(PAUSE_SECONDS)
            return True
    return False


async def _unmatched(url: str) -> int:
    unmatched = events.c.match_state == "PENDING_MATCH"
    rows = await select(url, sa.select(sa.func.count()).select_from(events).where(unmatched))
    return int(rows[0][0])


async def until_waiting(url: str, count: int, seconds: float = 30.0) -> None:
    """
    Wait until so many deliveries have not ended. Raises `TimeoutError` after *seconds*.
    """
    async with asyncio.timeout(seconds):
        while unfinished(await states(url)) < count:
            await asyncio.sleep(PAUSE_SECONDS)
