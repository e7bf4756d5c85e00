"""
Lists of the log across owners, whose parent is `accounts/-` or `warehouses/-`.

What can be listed so is what an index holds of all owners: failed attempts, failed deliveries,
and deliveries that have not ended. Failures are found by a walk from owner to owner over their
index; then the owners whose newest failures are the newest are read, some at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec
import sqlalchemy as sa

from dispatch_service.domain.transitions import State
from dispatch_service.log import read
from dispatch_service.log.filters import default_range, of_parent, unbounded
from dispatch_service.log.url_filters import Hash
from dispatch_service.storage.rows import ATTEMPTS, DELIVERIES, AttemptRow, DeliveryRow
from dispatch_service.storage.schema import attempts, deliveries
from service_runtime.database.typed_rows import RowReader
from service_runtime.rpc.errors import FieldFault, InvalidArgument
from service_runtime.rpc.filters import Comparison
from service_runtime.rpc.paging import Page, PageKey

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

OWNERS = 50
"""
How many owners one statement reads.
"""

RowT = TypeVar("RowT", bound=msgspec.Struct)

_FAILED_ATTEMPT = sa.literal_column("attempts.status <> 'SUCCESS'", sa.Boolean())
_FAILED_DELIVERY = sa.literal_column("deliveries.state = 'FAILED'", sa.Boolean())
_SUCCESS = range(200, 300)


@dataclass(frozen=True, slots=True)
class _Failures(Generic[RowT]):
    """
    Rows of *table* with an index of those that are *failed*, by owner and *time*; *key_of*
    returns the sort key of a row that *query* selects, *after* the conditions of those behind one.
    """

    reader: RowReader[RowT]
    query: Callable[[], sa.Select[Any]]
    table: sa.Table
    time: sa.Column[Any]
    failed: sa.ColumnElement[bool]
    order: Sequence[sa.Column[Any]]
    after: Callable[[PageKey | None], list[sa.ColumnElement[bool]]]
    key_of: Callable[[RowT], PageKey]


_ATTEMPTS = _Failures(
    ATTEMPTS,
    ATTEMPTS.select,
    attempts,
    attempts.c.start_time,
    _FAILED_ATTEMPT,
    read.ATTEMPT_ORDER,
    read.attempts_after,
    read.attempt_key,
)
_DELIVERIES = _Failures(
    DELIVERIES,
    read.delivery_query,
    deliveries,
    deliveries.c.create_time,
    _FAILED_DELIVERY,
    read.DELIVERY_ORDER,
    read.deliveries_after,
    read.delivery_key,
)


def check_attempts(comparisons: Sequence[Comparison]) -> None:
    """
    Check that a filter chooses failed attempts alone. Raises `InvalidArgument`.
    """
    if not any(map(_chooses_failures, comparisons)):
        raise _needed("status != SUCCESS")


def _chooses_failures(comparison: Comparison) -> bool:
    match comparison.field, comparison.operator, comparison.value:
        case "status", "=", status:
            return status != "SUCCESS"
        case "status", "!=", status:
            return status == "SUCCESS"
        case "response_code", "=", code:
            return code not in _SUCCESS
        case "failure_kind", "=", _:
            return True
    return False


def _states(comparisons: Sequence[Comparison]) -> set[State]:
    return {
        State(str(it.value)) for it in comparisons if it.field == "state" and it.operator == "="
    }


def _needed(example: str) -> InvalidArgument:
    return InvalidArgument(
        "The request is not valid.",
        faults=[FieldFault("filter", f"must have {example} where the parent stands for all")],
    )


async def list_attempts(
    db: AsyncConnection,
    parent: str,
    comparisons: Sequence[Comparison],
    *,
    hashed: Hash,
    size: int,
    begin_after: PageKey | None,
) -> Page[AttemptRow]:
    """
    List failed attempts of all owners that *parent* stands for. Raises `InvalidArgument` for a
    filter that does not choose failed ones alone.
    """
    check_attempts(comparisons)
    found = _conditions(_ATTEMPTS, comparisons, hashed, begin_after)
    return await _newest(db, _ATTEMPTS, parent, found, size)


async def list_deliveries(
    db: AsyncConnection,
    parent: str,
    comparisons: Sequence[Comparison],
    *,
    hashed: Hash,
    size: int,
    begin_after: PageKey | None,
) -> Page[DeliveryRow]:
    """
    List deliveries that failed, or have not ended, of all owners that *parent* stands for. Raises
    `InvalidArgument` for a filter that does not choose one such state.
    """
    found = _conditions(_DELIVERIES, comparisons, hashed, begin_after)
    states = _states(comparisons)
    if State.FAILED in states:
        return await _newest(db, _DELIVERIES, parent, found, size)
    if not states & {State.PENDING, State.DELIVERING}:
        raise _needed("state = FAILED, state = PENDING or state = DELIVERING")
    return await _unfinished(db, parent, found, size)


def _conditions(
    failures: _Failures[Any],
    comparisons: Sequence[Comparison],
    hashed: Hash,
    begin_after: PageKey | None,
) -> list[sa.ColumnElement[bool]]:
    """
    Return what a filter and the beginning of a page ask of rows.
    """
    return [
        *unbounded(failures.table, comparisons, hashed),
        *default_range(failures.time, comparisons),
        *failures.after(begin_after),
    ]


async def _unfinished(
    db: AsyncConnection, parent: str, found: Sequence[sa.ColumnElement[bool]], size: int
) -> Page[DeliveryRow]:
    """
    List deliveries that have not ended, which are few: the limits of the backlog bound them.
    """
    waiting = (of_parent(deliveries.c.owner, parent), deliveries.c.end_time.is_(None))
    query = read.delivery_query().where(*waiting, *found)
    query = query.order_by(*(key.desc() for key in read.DELIVERY_ORDER)).limit(size + 1)
    return Page(await DELIVERIES.all(db, query), size, read.delivery_key)


async def _newest(
    db: AsyncConnection,
    failures: _Failures[RowT],
    parent: str,
    found: Sequence[sa.ColumnElement[bool]],
    size: int,
) -> Page[RowT]:
    """
    List the newest rows that meet the conditions *found*.

    An owner is not read if as many rows are known that are newer than all of its own.
    """
    conditions = [failures.failed, *found]
    newest = (await db.execute(_owners(failures, parent, conditions))).all()
    owners = sorted(newest, key=lambda row: (row.newest, row.owner), reverse=True)
    rows: list[RowT] = []
    for start in range(0, len(owners), OWNERS):
        some = owners[start : start + OWNERS]
        if len(rows) > size and getattr(rows[size], failures.time.key) > some[0].newest:
            break
        query = _newest_of(failures, [row.owner for row in some], conditions, size + 1)
        rows += await failures.reader.all(db, query)
        rows = sorted(rows, key=failures.key_of, reverse=True)[: size + 1]
    return Page(rows, size, failures.key_of)


def _owners(
    failures: _Failures[Any], parent: str, conditions: Sequence[sa.ColumnElement[bool]]
) -> sa.Select[Any]:
    """
    Select the owners that have such rows, each with the time of its newest.
    """
    owner, time = failures.table.c.owner, failures.time
    first = sa.select(sa.func.min(owner).label("owner")).where(failures.failed)
    walk = first.cte("walk", recursive=True)
    later = sa.select(sa.func.min(owner)).where(owner > walk.c.owner, failures.failed)
    walk = walk.union_all(sa.select(later.scalar_subquery()).where(walk.c.owner.is_not(None)))
    newest = sa.select(time).where(owner == walk.c.owner, *conditions).order_by(time.desc())
    found = sa.select(walk.c.owner, newest.limit(1).scalar_subquery().label("newest"))
    named = found.where(of_parent(walk.c.owner, parent)).subquery("found")
    return sa.select(named.c.owner, named.c.newest).where(named.c.newest.is_not(None))


def _newest_of(
    failures: _Failures[Any],
    owners: Sequence[str],
    conditions: Sequence[sa.ColumnElement[bool]],
    limit: int,
) -> Any:
    """
    Select the newest rows of all *owners*, *limit* at most, after as many of each.
    """
    order = [key.desc() for key in failures.order]
    of_each = [
        failures.query().where(failures.table.c.owner == owner, *conditions).order_by(*order)
        for owner in owners
    ]
    found = sa.union_all(*(sa.select(it.limit(limit).subquery()) for it in of_each))
    return found.order_by(*(sa.desc(key.key) for key in failures.order)).limit(limit)
