"""
Resend jobs: which deliveries a job chooses, and how far it is.

The filter of a job is fixed when it is created, with both ends of its time span, so the job
looks at each delivery once however long it takes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import sqlalchemy as sa

from dispatch_service.domain.errors import ResendJobEnded, ResendJobNotFound
from dispatch_service.log.filters import DEFAULT_RANGE, parse_delivery_filter, unbounded
from dispatch_service.log.url_filters import Hash, without_urls
from dispatch_service.resend.job_table import JobTable
from dispatch_service.storage.rows import RESEND_JOBS, ResendJobRow
from dispatch_service.storage.schema import deliveries, resend_jobs
from service_runtime.rpc import names
from service_runtime.rpc.errors import FieldFault, InvalidArgument
from service_runtime.rpc.filters import Comparison

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

METHOD = "ResendDeliveries"
MOST_NAMES = 1000

JOBS = JobTable(
    "resend_job",
    RESEND_JOBS,
    resend_jobs,
    names.resend_job,
    not_found=ResendJobNotFound,
    ended=ResendJobEnded,
)
"""
The resend jobs of all owners.
"""

MOST_RATE = 10_000


@dataclass(frozen=True, slots=True)
class Choice:
    """
    Deliveries of *owner*: those that *filter* matches, or if *ids* is not None, those.
    """

    owner: str
    filter: str
    ids: tuple[str, ...] | None

    def where(self, hashed: Hash) -> list[sa.ColumnElement[bool]]:
        """
        Return the conditions that a chosen delivery meets.
        """
        if self.ids is not None:
            found: list[sa.ColumnElement[bool]] = [deliveries.c.delivery_id.in_(self.ids)]
        else:
            found = unbounded(deliveries, parse_delivery_filter(self.filter), hashed)
        return [deliveries.c.owner == self.owner, *found]


def choose(
    owner: str,
    source: str,
    wanted: Sequence[str],
    *,
    force: bool,
    now: datetime,
    hashed: Hash,
) -> Choice:
    """
    Check the choice of a request. A filter without state or time gets defaults: deliveries that
    failed, of the last 7 days, until now. Full URLs in it are replaced by their hashes.

    Raises `InvalidArgument`.
    """
    if wanted:
        return Choice(owner, "", _checked_ids(owner, source, wanted))
    comparisons = parse_delivery_filter(source)
    states = [each.value for each in comparisons if each.field == "state"]
    if "SUCCEEDED" in states and not force:
        raise _fault("force", "must be set to send again what succeeded")
    parts = [without_urls(source, hashed).strip()] if source.strip() else []
    if not states:
        parts.append("state = FAILED")
    if not any(map(_bounds_age, comparisons)):
        parts.append(f'create_time >= "{_rfc3339(now - DEFAULT_RANGE)}"')
    parts.append(f'create_time <= "{_rfc3339(now)}"')
    whole = " AND ".join(parts)
    parse_delivery_filter(whole)
    return Choice(owner, whole, None)


def _bounds_age(comparison: Comparison) -> bool:
    return comparison.field == "create_time" and comparison.operator in {">", ">=", "="}


def _checked_ids(owner: str, source: str, wanted: Sequence[str]) -> tuple[str, ...]:
    if source:
        raise _fault("filter", "must be empty where names are given")
    if len(wanted) > MOST_NAMES:
        raise _fault("names", f"must be at most {MOST_NAMES}")
    parsed = [names.parse("delivery", name, f"names[{at}]") for at, name in enumerate(wanted)]
    for at, name in enumerate(parsed):
        if name.owner != owner:
            raise _fault(f"names[{at}]", f"must be a delivery of {owner}")
    return tuple(dict.fromkeys(name.id for name in parsed))


def checked_rate(rate: int) -> int:
    """
    Return *rate*, in deliveries a second; 0 is no limit. Raises `InvalidArgument`.
    """
    if not 0 <= rate <= MOST_RATE:
        raise _fault("rate_limit", f"must be 1 to {MOST_RATE:,} a second, or 0 for no limit")
    return rate


def _fault(field: str, description: str) -> InvalidArgument:
    return InvalidArgument("The request is not valid.", faults=[FieldFault(field, description)])


def _rfc3339(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


async def count(db: AsyncConnection, choice: Choice, hashed: Hash) -> int:
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
    Create a job, due at once.
    """
    row = {
        "owner": choice.owner,
        "resend_job_id": job_id,
        "filter": choice.filter,
        "names": None if choice.ids is None else json.dumps(choice.ids),
        "force": force,
        "resent_count": 0,
    }
    await JOBS.create(db, row, total, rate=rate, requested_by=requested_by)


def choice_of(row: ResendJobRow) -> Choice:
    """
    Return the choice that a job was created with.
    """
    return Choice(row.owner, row.filter, tuple(json.loads(row.names)) if row.names else None)
