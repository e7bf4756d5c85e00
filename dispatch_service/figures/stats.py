"""
Reading figures: of one subscription, and of those that fail most.

Rows of figures are read, never attempts, so the cost does not grow with the log.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

import sqlalchemy as sa

from dispatch_service.domain.figures import (
    MOST_PERIODS,
    Figures,
    Unit,
    merged,
    period_start,
    unit_for,
)
from dispatch_service.figures.roll_up import ALL, figures_of
from dispatch_service.log.filters import of_parent
from dispatch_service.storage.schema import attempt_figures, figure_positions
from service_runtime.database.instants import database_now
from service_runtime.database.row_values import in_keys
from service_runtime.rpc.errors import FieldFault, InvalidArgument
from service_runtime.rpc.paging import Page, PageKey

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

DEFAULT_SPAN = timedelta(hours=1)
MOST_LISTED = 100
"""
The most subscriptions of one page.
"""

_FAILED = sa.literal_column("attempt_figures.failure_count > 0", sa.Boolean())
_T = attempt_figures.c


@dataclass(frozen=True, slots=True)
class Span:
    """
    Whole periods of a unit, from *start* to before *end*.
    """

    start: datetime
    end: datetime
    unit: Unit


class Failing(NamedTuple):
    """
    A subscription with failures, and how many.
    """

    owner: str
    subscription: str
    failures: int


@dataclass(slots=True)
class Stats:
    """
    The figures of a subscription in a span: the sum, and those of each period with attempts.
    """

    total: Figures = field(default_factory=Figures)
    periods: list[tuple[datetime, Figures]] = field(default_factory=list)


def span_of(start: datetime | None, end: datetime | None, unit: Unit | None, now: datetime) -> Span:
    """
    Return the span that a caller asks for, widened to whole periods. Raises `InvalidArgument`
    for one that is empty or has too many periods.
    """
    end = min(end or now, now)
    start = start or end - DEFAULT_SPAN
    if start >= end:
        raise _refused("start_time", "must be before end_time, and not in the future")
    unit = unit or unit_for(start, end, now)
    if unit.length * MOST_PERIODS < end - start:
        text = (
            f"must be long enough for {MOST_PERIODS} periods at most, for example GRANULARITY_DAY"
        )
        raise _refused("granularity", text)
    last = period_start(unit, end)
    end = last if last == end else last + unit.length
    return Span(period_start(unit, start), end, unit)


def _refused(name: str, text: str) -> InvalidArgument:
    return InvalidArgument("The request is not valid.", faults=[FieldFault(name, text)])


async def clock(db: AsyncConnection) -> datetime:
    """
    Return the time of the database.
    """
    return (await db.execute(sa.select(database_now()))).scalar_one()


async def counted_through(db: AsyncConnection) -> datetime | None:
    """
    Return up to when settled attempts are in the figures; None before the first were counted.
    """
    return (await db.execute(sa.select(figure_positions.c.through_time))).scalar_one_or_none()


async def stats_of(
    db: AsyncConnection, keys: Sequence[tuple[str, str]], span: Span
) -> dict[tuple[str, str], Stats]:
    """
    Return the figures of subscriptions, by owner and id. The last success and failure are those
    of all days that are kept.
    """
    found = {key: Stats() for key in keys}
    query = sa.select(attempt_figures).where(
        in_keys([_T.owner, _T.subscription], keys), *_within(span)
    )
    for row in (await db.execute(query.order_by(_T.start_time))).all():
        found[row.owner, row.subscription].periods.append((row.start_time, figures_of(row)))
    for stats in found.values():
        stats.total = merged(figures for _, figures in stats.periods)
    await _set_last_times(db, found)
    return found


async def _set_last_times(db: AsyncConnection, found: dict[tuple[str, str], Stats]) -> None:
    success, failure = sa.func.max(_T.last_success_time), sa.func.max(_T.last_failure_time)
    query = (
        sa.select(_T.owner, _T.subscription, success.label("success"), failure.label("failure"))
        .where(in_keys([_T.owner, _T.subscription], list(found)), _T.unit == Unit.DAY)
        .group_by(_T.owner, _T.subscription)
    )
    for row in (await db.execute(query)).all():
        stats = found[row.owner, row.subscription]
        stats.total = replace(
            stats.total, last_success_time=row.success, last_failure_time=row.failure
        )


def _within(span: Span) -> tuple[sa.ColumnElement[bool], ...]:
    return _T.unit == span.unit, _T.start_time >= span.start, _T.start_time < span.end


async def list_failing(
    db: AsyncConnection, parent: str, span: Span, *, size: int, begin_after: PageKey | None
) -> Page[Failing]:
    """
    List the subscriptions with failures in a span, those with most first, of an owner or of all
    that *parent* stands for.
    """
    failures = sa.func.sum(_T.failure_count, type_=sa.BigInteger)
    query = (
        sa.select(_T.owner, _T.subscription, sa.cast(failures, sa.BigInteger).label("failures"))
        .where(_FAILED, of_parent(_T.owner, parent), _T.subscription != ALL, *_within(span))
        .group_by(_T.owner, _T.subscription)
        .order_by(sa.desc("failures"), _T.owner, _T.subscription)
        .limit(size + 1)
    )
    if begin_after is not None:
        count, owner, subscription = begin_after
        later = (_T.owner > owner) | ((_T.owner == owner) & (_T.subscription > subscription))
        query = query.having((failures < count) | ((failures == count) & later))
    rows = [Failing(*row) for row in (await db.execute(query)).all()]
    return Page(rows, size, lambda row: [row.failures, row.owner, row.subscription])
