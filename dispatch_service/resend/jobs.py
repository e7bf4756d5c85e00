"""
Resends of many deliveries: what was asked for, and how far each job is.

A job's filter is fixed when it is made, both ends of its time span included, so
that it looks at each delivery once however long it takes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from dispatch_service.domain.errors import ResendJobEnded, ResendJobNotFound
from dispatch_service.log import audit, read
from dispatch_service.log.filters import DEFAULT_RANGE, Hash, parse_delivery_filter, unbounded
from dispatch_service.log.read import Page
from dispatch_service.storage.schema import deliveries, resend_jobs
from service_runtime.database.instants import database_now
from service_runtime.rpc import names
from service_runtime.rpc.errors import FieldFault, InvalidArgument
from service_runtime.rpc.paging import PageKey

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

METHOD = "ResendDeliveries"
MOST_NAMES = 1000
MOST_RATE = 10_000


@dataclass(frozen=True, slots=True)
class Choice:
    """
    Which deliveries of an owner: those of a *filter*, or those with certain *ids*.
    """

    owner: str
    filter: str
    ids: tuple[str, ...] | None

    def where(self, hashed: Hash) -> list[sa.ColumnElement[bool]]:
        """
        Say it in SQL.
        """
        if self.ids is not None:
            found: list[sa.ColumnElement[bool]] = [deliveries.c.delivery_id.in_(self.ids)]
        else:
            found = unbounded(deliveries, parse_delivery_filter(self.filter), hashed)
        return [deliveries.c.owner == self.owner, *found]


def choose(owner: str, source: str, wanted: Sequence[str], *, force: bool, now: datetime) -> Choice:
    """
    Check what a request chooses. A filter gets what it leaves open: those that
    failed, of the last 7 days, until now.

    Raises `InvalidArgument`.
    """
    if wanted:
        return Choice(owner, "", _checked_ids(owner, source, wanted))
    comparisons = parse_delivery_filter(source)
    if not force and any((it.field, it.value) == ("state", "SUCCEEDED") for it in comparisons):
        raise _fault("force", "must be set to send again what succeeded")
    parts = [source.strip()] if source.strip() else []
    if not any(it.field == "state" for it in comparisons):
        parts.append("state = FAILED")
    if not any(it.field == "create_time" and it.operator in {">", ">=", "="} for it in comparisons):
        parts.append(f'create_time >= "{_text(now - DEFAULT_RANGE)}"')
    parts.append(f'create_time <= "{_text(now)}"')
    whole = " AND ".join(parts)
    parse_delivery_filter(whole)
    return Choice(owner, whole, None)


def _checked_ids(owner: str, source: str, wanted: Sequence[str]) -> tuple[str, ...]:
    if source:
        raise _fault("filter", "must be empty where names are given")
    if len(wanted) > MOST_NAMES:
        raise _fault("names", f"must be at most {MOST_NAMES}")
    parsed = [names.parse("delivery", it, f"names[{at}]") for at, it in enumerate(wanted)]
    for at, it in enumerate(parsed):
        if it.owner != owner:
            raise _fault(f"names[{at}]", f"must be a delivery of {owner}")
    return tuple(dict.fromkeys(it.id for it in parsed))


def checked_rate(rate: int) -> int:
    """
    Check how many deliveries may be made due in a second. Raises `InvalidArgument`.
    """
    if not 0 <= rate <= MOST_RATE:
        raise _fault("rate_limit", f"must be 1 to {MOST_RATE:,} a second, or 0 for no limit")
    return rate


def _fault(field: str, description: str) -> InvalidArgument:
    return InvalidArgument("The request is not valid.", faults=[FieldFault(field, description)])


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


async def count(db: AsyncConnection, choice: Choice, hashed: Hash) -> int:
    """
    Count the deliveries of a choice.
    """
    query = sa.select(sa.func.count()).select_from(deliveries).where(*choice.where(hashed))
    return int((await db.execute(query)).scalar_one())


async def create(
    db: AsyncConnection,
    job_id: str,
    choice: Choice,
    total: int,
    *,
    force: bool,
    rate: int,
    requested_by: str,
) -> None:
    """
    Make a job, due at once, and note who asked for it.
    """
    row = {
        "owner": choice.owner,
        "resend_job_id": job_id,
        "state": "RUNNING",
        "filter": choice.filter,
        "names": None if choice.ids is None else json.dumps(choice.ids),
        "force": force,
        "rate_limit": rate,
        "total_count": total,
        "resent_count": 0,
        "skipped_count": 0,
        "requested_by": requested_by,
        "due_time": database_now(),
        "create_time": database_now(),
    }
    await db.execute(sa.insert(resend_jobs).values(row))
    changes = [{"field": "total_count", "before": "", "after": str(total)}]
    await audit.note(
        db,
        owner=choice.owner,
        caller=requested_by,
        method=METHOD,
        resource=names.resend_job(choice.owner, job_id),
        changes=changes,
    )


def choice_of(row: Any) -> Choice:
    """
    Return what a job's row chooses.
    """
    return Choice(row.owner, row.filter, tuple(json.loads(row.names)) if row.names else None)


async def get(db: AsyncConnection, name: str) -> Any:
    """
    Return the row of a job. Raises `ResendJobNotFound`.
    """
    parsed = names.parse("resend_job", name)
    same = _is(parsed.owner, parsed.id)
    row = (await db.execute(sa.select(resend_jobs).where(same))).first()
    if row is None:
        raise ResendJobNotFound(name)
    return row


async def list_jobs(
    db: AsyncConnection, owner: str, size: int, begin_after: PageKey | None
) -> Page:
    """
    List the jobs of an owner, newest first.
    """
    key = resend_jobs.c.resend_job_id
    query = sa.select(resend_jobs).where(resend_jobs.c.owner == owner)
    if begin_after is not None:
        query = query.where(key < str(begin_after[0]))
    rows = (await db.execute(query.order_by(key.desc()).limit(size + 1))).all()
    return read.page(rows, size, lambda row: [str(row.resend_job_id)])


async def cancel(db: AsyncConnection, row: Any, cancelled_by: str) -> None:
    """
    Stop a job; what it made due goes on. Raises `ResendJobEnded`.
    """
    ended = {"state": "CANCELLED", "end_time": database_now(), "due_time": None}
    running = _is(row.owner, row.resend_job_id) & (resend_jobs.c.state == "RUNNING")
    name = names.resend_job(row.owner, row.resend_job_id)
    if not (await db.execute(sa.update(resend_jobs).where(running).values(ended))).rowcount:
        raise ResendJobEnded(name)
    await audit.note(
        db, owner=row.owner, caller=cancelled_by, method="CancelResendJob", resource=name
    )


def _is(owner: str, job_id: str) -> sa.ColumnElement[bool]:
    return sa.and_(resend_jobs.c.owner == owner, resend_jobs.c.resend_job_id == job_id)
