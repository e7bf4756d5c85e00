"""
Resend jobs that an earlier version stored, when paths of URLs were not secret: their filters are
brought into today's form, and a job that chooses by the beginning of a path is cancelled.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import sqlalchemy as sa
import structlog

from dispatch_service.log.filters import parse_delivery_filter
from dispatch_service.log.url_filters import Hash, without_urls
from dispatch_service.storage.rows import RESEND_JOBS, ResendJobRow
from dispatch_service.storage.schema import resend_jobs
from service_runtime.audit.entries import AuditChange
from service_runtime.audit.log import AuditLog
from service_runtime.database.instants import database_now
from service_runtime.rpc import names
from service_runtime.rpc.errors import InvalidArgument

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

METHOD = "CancelResendJob"
REASON = "the beginning of a URL can have no path any more"

# The path, and what follows it; all of it where the host cannot be told from a password.
_PATHS = re.compile(r"""(https?://)([^/?#@"'\s]*(?![^/?#*"'\s]))?[^"'\s]*""", re.IGNORECASE)

log = structlog.get_logger()


def without_paths(source: str) -> str:
    """
    Return a filter, which need not be valid, that shows of URLs the host at most.
    """
    return _PATHS.sub(r"\1\2/…", source)


async def convert(db: AsyncConnection, hashed: Hash, audit: AuditLog) -> None:
    """
    Replace full URLs in the filters of jobs by their hashes, and remove paths that have none. A
    job that such a path chooses for is cancelled, with an entry in the audit log.
    """
    source = resend_jobs.c.filter
    # What is left of a path was removed before.
    written = source.icontains("http", autoescape=True) & ~source.contains("/…", autoescape=True)
    cancelled = []
    for job in await RESEND_JOBS.all(db, RESEND_JOBS.select().where(written)):
        values = _converted(job, hashed)
        await db.execute(sa.update(resend_jobs).where(*_is(job)).values(values))
        if "state" in values:
            cancelled.append(names.resend_job(job.owner, job.job_id))
    changes = [AuditChange("state", "RUNNING", "CANCELLED"), AuditChange("filter", "", REASON)]
    for name in cancelled:
        log.warning("resend_job.cancelled", job=name, problem=REASON)
        await audit.record(db, METHOD, name, changes, caller="system")


def _converted(job: ResendJobRow, hashed: Hash) -> dict[str, object]:
    try:
        parse_delivery_filter(job.filter)
    except InvalidArgument:
        hidden: dict[str, object] = {"filter": without_paths(job.filter)}
        if job.state != "RUNNING":
            return hidden
        return hidden | {"state": "CANCELLED", "end_time": database_now(), "due_time": None}
    return {"filter": without_urls(job.filter, hashed)}


def _is(job: ResendJobRow) -> tuple[sa.ColumnElement[bool], ...]:
    columns = resend_jobs.c
    return columns.owner == job.owner, columns.resend_job_id == job.job_id
