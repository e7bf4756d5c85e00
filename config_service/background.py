"""
Background loops of the config service.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from functools import partial

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from config_service.store import caller_store, endpoint_feed
from config_service.store.feed import history, pages
from service_runtime.database.engine import reading, writing
from service_runtime.observability import metrics
from service_runtime.process.periodic import Periodic
from service_runtime.rpc.caller_directory import CallerDirectory

COMPACT_SECONDS = 3600.0
CALLERS_SECONDS = 1.0
DAY_SECONDS = 86_400.0

log = structlog.get_logger()


def store_loops(engine: AsyncEngine, tombstones: timedelta) -> Mapping[str, Periodic]:
    """
    Return the loops that forget old deletions and watch certificates.
    """
    return {
        "compaction": Periodic(
            partial(_compact, engine, tombstones),
            pause_seconds=COMPACT_SECONDS,
            failure="feed.compact_failed",
        ),
        "certificates": Periodic(
            partial(_watch_certificates, engine),
            pause_seconds=DAY_SECONDS,
            failure="certificates.read_failed",
        ),
    }


def callers_loop(engine: AsyncEngine, callers: CallerDirectory, changed: asyncio.Event) -> Periodic:
    """
    Return the loop that reads changed callers: changes of this process at once, those of other
    processes after a second.
    """
    return Periodic(
        partial(read_callers, engine, callers),
        pause_seconds=CALLERS_SECONDS,
        failure="callers.read_failed",
        wakeup=changed,
    )


async def read_callers(engine: AsyncEngine, callers: CallerDirectory) -> None:
    """
    Replace the callers in memory by those in the database.
    """
    async with reading(engine) as db:
        callers.replace(await caller_store.entries(db))


async def _compact(engine: AsyncEngine, tombstones: timedelta) -> None:
    await pages.compact(engine, tombstones)
    await history.prune(engine)


async def _watch_certificates(engine: AsyncEngine) -> None:
    """
    Warn of client certificates that expire within a month.
    """
    days_left = float("inf")
    try:
        async with writing(engine) as db:
            found = await endpoint_feed.warn_of_certificates(db)
        days_left = min((days for _, days in found), default=days_left)
    finally:
        # Certificates that cannot be read raise no alarm here: the error is logged.
        metrics.CERTIFICATE_DAYS.set(days_left)
    for name, days in found:
        if days < max(endpoint_feed.WARN_DAYS):
            log.warning("certificate.expires", name=name, count=days)
