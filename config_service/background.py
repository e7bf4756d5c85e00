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

from config_service.api.confirmations import Confirmations
from config_service.store import caller_store
from config_service.store.endpoint_events import certificates, event_rows
from config_service.store.feed import acknowledgements, history, pages
from config_service.store.rows import CertificateRow
from service_runtime.database.engine import reading, writing
from service_runtime.observability.instruments import Gauge
from service_runtime.process.failures import FailureLog
from service_runtime.process.periodic import Periodic
from service_runtime.rpc.caller_directory import CallerDirectory

COMPACT_SECONDS = 3600.0
ENDPOINT_EVENTS_SECONDS = 3600.0
CALLERS_SECONDS = 1.0
ACKNOWLEDGEMENTS_SECONDS = 60.0
REVISION_SECONDS = 5.0
DAY_SECONDS = 86_400.0

CALLERS_FAILED = "callers.read_failed"
CERTIFICATES_FAILED = "certificates.read_failed"

CERTIFICATE_DAYS = Gauge(
    "webhooks_client_certificate_days",
    "Days until the first client certificate that a subscription uses expires; none without any.",
    service="config",
    how="min",
)
REVISION = Gauge(
    "webhooks_config_revision",
    "The newest revision of the configuration.",
    service="config",
    how="max",
)

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
            partial(_watch_certificates, engine, FailureLog(CERTIFICATES_FAILED)),
            pause_seconds=DAY_SECONDS,
            failure=CERTIFICATES_FAILED,
        ),
        "revision": Periodic(
            partial(_read_revision, engine),
            pause_seconds=REVISION_SECONDS,
            failure="feed.revision_failed",
        ),
    }


def callers_loop(engine: AsyncEngine, callers: CallerDirectory, changed: asyncio.Event) -> Periodic:
    """
    Return the loop that reads changed callers: changes of this process at once, those of other
    processes after a second.
    """
    return Periodic(
        partial(read_callers, engine, callers, FailureLog(CALLERS_FAILED)),
        pause_seconds=CALLERS_SECONDS,
        failure=CALLERS_FAILED,
        wakeup=changed,
    )


def acknowledgements_loop(confirmations: Confirmations) -> Periodic:
    """
    Return the loop that stores what the readers of the feed acknowledge.
    """
    return Periodic(
        confirmations.write,
        pause_seconds=ACKNOWLEDGEMENTS_SECONDS,
        failure="feed.acknowledge_failed",
        wakeup=confirmations.unwritten,
    )


def endpoint_events_loop(engine: AsyncEngine, keep: timedelta) -> Periodic:
    """
    Return the loop that completes the endpoint events of the release before, and deletes those
    that are older than *keep*.
    """
    return Periodic(
        partial(_keep_endpoint_events, engine, keep),
        pause_seconds=ENDPOINT_EVENTS_SECONDS,
        failure="endpoint_events.prune_failed",
    )


async def read_callers(engine: AsyncEngine, callers: CallerDirectory, failures: FailureLog) -> None:
    """
    Replace the callers in memory by those in the database. One that cannot be read is logged
    in *failures* and left out.
    """
    async with reading(engine) as db:
        callers.replace(await caller_store.entries(db, failures))


async def _compact(engine: AsyncEngine, tombstones: timedelta) -> None:
    await pages.compact(engine, tombstones)
    await history.prune(engine)
    await acknowledgements.forget(engine)


async def _keep_endpoint_events(engine: AsyncEngine, keep: timedelta) -> None:
    await event_rows.complete(engine)
    if count := await event_rows.prune(engine, keep):
        log.info("endpoint_events.pruned", count=count)


async def _read_revision(engine: AsyncEngine) -> None:
    async with reading(engine) as db:
        revision = (await pages.state(db)).revision
    REVISION.read_with(lambda: revision)


async def _watch_certificates(engine: AsyncEngine, failures: FailureLog) -> None:
    """
    Warn of client certificates that expire within a month. One that fails stops no other.
    """
    used: Mapping[str, CertificateRow] = {}
    fewest_days = float("inf")
    try:
        async with reading(engine) as db:
            used = await certificates.certificates_in_use(db)
        fewest_days = min(map(certificates.days_left, used.values()), default=fewest_days)
    finally:
        # Certificates that cannot be read raise no alarm here: the error is logged.
        shown = fewest_days if used else None
        CERTIFICATE_DAYS.read_with(lambda: shown)
    for name, certificate in used.items():
        days = certificates.days_left(certificate)
        if days < max(certificates.WARN_DAYS):
            log.warning("certificate.expires", name=name, count=days)
        with failures.isolated(name=name):
            async with writing(engine) as db:
                await certificates.warn_of_certificate(db, certificate)
