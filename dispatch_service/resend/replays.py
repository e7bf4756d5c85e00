"""
Replay jobs: which events a job looks at, and how far it is.

A job makes the deliveries that a subscription lacks. Its span is fixed when it is created, so it
looks at each event once however long it takes; what another job has made meanwhile is left as
it is.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import sqlalchemy as sa

from dispatch_service.domain.errors import EventNotFound, ReplayJobEnded, ReplayJobNotFound
from dispatch_service.domain.work import EventKey
from dispatch_service.intake.accepted_events import is_wanted
from dispatch_service.intake.late_subscriptions import LateSubscriptions, WantedEvents
from dispatch_service.log.event_filters import KINDS
from dispatch_service.log.filters import DEFAULT_RANGE
from dispatch_service.resend.job_table import JobTable
from dispatch_service.routing.index import SubscriptionIndex
from dispatch_service.routing.subscriptions import Subscription
from dispatch_service.storage.rows import REPLAY_JOBS, ReplayJobRow
from dispatch_service.storage.schema import event_keys, events, replay_jobs
from service_runtime.database.row_values import in_keys
from service_runtime.rpc import names
from service_runtime.rpc.errors import FieldFault, InvalidArgument

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

METHOD = "ReplayEvents"
MOST_NAMES = 1000

MICROSECOND = timedelta(microseconds=1)

JOBS = JobTable(
    "replay_job",
    REPLAY_JOBS,
    replay_jobs,
    names.replay_job,
    not_found=ReplayJobNotFound,
    ended=ReplayJobEnded,
)
"""
The replay jobs of all owners.
"""

_EVER = datetime.min.replace(tzinfo=UTC)
_KEY = (events.c.account, events.c.event_id)


@dataclass(frozen=True, slots=True)
class Span:
    """
    The events that a request chooses: those of *keys* if that is not None, else those that were
    accepted from *start* on and before *end*; of them those of *kinds*, if there are any.
    """

    start: datetime
    end: datetime
    kinds: tuple[str, ...] = ()
    keys: tuple[EventKey, ...] | None = None


def chosen_span(
    start: datetime | None,
    end: datetime | None,
    kinds: Sequence[str],
    wanted: Sequence[str],
    now: datetime,
) -> Span:
    """
    Check the choice of a request. Without *end* that is until *now*, without *start* the 7 days
    before the end.

    Raises `InvalidArgument`.
    """
    for at, kind in enumerate(kinds):
        if kind not in KINDS:
            raise _fault(f"kinds[{at}]", f"must be one of {', '.join(KINDS)}")
    until = now if end is None else min(end, now)
    since = until - DEFAULT_RANGE if start is None else start
    if wanted:
        return Span(since, until, tuple(kinds), _checked_keys(start, end, wanted))
    if since >= until:
        raise _fault("accept_start_time", "must be before accept_end_time, and in the past")
    return Span(since, until, tuple(kinds))


def _checked_keys(
    start: datetime | None, end: datetime | None, wanted: Sequence[str]
) -> tuple[EventKey, ...]:
    for field, value in (("accept_start_time", start), ("accept_end_time", end)):
        if value is not None:
            raise _fault(field, "must be unset where names are given")
    if len(wanted) > MOST_NAMES:
        raise _fault("names", f"must be at most {MOST_NAMES}")
    parsed = [names.parse("event", name, f"names[{at}]") for at, name in enumerate(wanted)]
    return tuple(dict.fromkeys((names.account_number(it.owner), it.id) for it in parsed))


def _fault(field: str, description: str) -> InvalidArgument:
    return InvalidArgument("The request is not valid.", faults=[FieldFault(field, description)])


async def in_order(db: AsyncConnection, span: Span) -> Span:
    """
    Return *span* with its keys in the order of their acceptance. Raises `EventNotFound`.
    """
    if span.keys is None:
        return span
    query = sa.select(*_KEY, events.c.accept_time, events.c.sequence)
    rows = (await db.execute(query.where(in_keys(_KEY, span.keys)))).all()
    known = {(row.account, row.event_id): (row.accept_time, row.sequence) for row in rows}
    for key in span.keys:
        if key not in known:
            raise EventNotFound(names.event(*key))
    return replace(span, keys=tuple(sorted(span.keys, key=known.__getitem__)))


def late_of(subscription: Subscription, known: SubscriptionIndex) -> LateSubscriptions:
    """
    Return what matches events of any age with one subscription.
    """
    return LateSubscriptions({subscription.name: _EVER}, known)


def wanted_by(late: LateSubscriptions, kinds: Collection[str]) -> WantedEvents | None:
    """
    Return which events of *kinds*, all if there are none, may match; None if none can.
    """
    wanted = late.wanted()
    if wanted is None or not kinds:
        return wanted
    return replace(wanted, domain_events=wanted.domain_events & frozenset(kinds))


async def count(db: AsyncConnection, span: Span, wanted: WantedEvents | None) -> int:
    """
    Count the events that a job looks at.
    """
    if span.keys is not None:
        return len(span.keys)
    if wanted is None:
        return 0
    query, times = sa.select(sa.func.count()).select_from(events), events.c.accept_time
    if wanted.of_warehouses:
        key, times = event_keys.c, event_keys.c.accept_time
        same = sa.and_(key.account == events.c.account, key.event_id == events.c.event_id)
        query = query.join(event_keys, same)
    query = query.where(is_wanted(wanted), times >= span.start, times < span.end)
    return int((await db.execute(query)).scalar_one())


async def create(
    db: AsyncConnection,
    job_id: str,
    subscription: Subscription,
    span: Span,
    total: int,
    *,
    rate: int,
    requested_by: str,
) -> None:
    """
    Create a job, due at once.
    """
    row: Mapping[str, object] = {
        "owner": subscription.owner,
        "replay_job_id": job_id,
        "subscription": subscription.subscription_id,
        "accept_start_time": span.start,
        "accept_end_time": span.end,
        "kinds": json.dumps(span.kinds) if span.kinds else None,
        "events": None if span.keys is None else json.dumps(span.keys),
        "succeeded_count": 0,
    }
    await JOBS.create(db, row, total, rate=rate, requested_by=requested_by)


def span_of(row: ReplayJobRow) -> Span:
    """
    Return the choice that a job was created with.
    """
    keys = None
    if row.events is not None:
        keys = tuple((int(account), str(event_id)) for account, event_id in json.loads(row.events))
    kinds = tuple(json.loads(row.kinds or "[]"))
    return Span(row.accept_start_time, row.accept_end_time, kinds, keys)
