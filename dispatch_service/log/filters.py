"""
The filters of the log: their fields, and the SQL of their comparisons.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler

from dispatch_service.domain.outcomes import FailureKind
from dispatch_service.domain.transitions import State, Trigger
from dispatch_service.log.url_filters import URLS, Hash, url_condition
from dispatch_service.storage.schema import attempts, deliveries
from service_runtime.database.instants import after
from service_runtime.database.row_values import Condition
from service_runtime.rpc import filters, names
from service_runtime.rpc.errors import InvalidArgument
from service_runtime.rpc.filters import Comparison, FieldKind
from shipedge.webhooks.catalogue import CATALOGUE

SLOW_US = 1_000_000
"""
Attempts of this duration in microseconds, or a longer one, are slow and have an index.
"""

DEFAULT_RANGE = timedelta(days=7)
"""
How far back a List goes that has no lower bound on the time.
"""

_MOST_MILLISECONDS = 24 * 3600 * 1000
"""
A day: no attempt lasts nearly as long.
"""

_KINDS = filters.one_of(*(kind.name for kind in FailureKind), prefix="FAILURE_KIND_")

_EVENT_TYPES = filters.text_that(
    "an event type of ListEventTypes, for example orders/shipped",
    lambda value: value in CATALOGUE.event_types,
)

_COMMON: Mapping[str, FieldKind] = {
    "event_type": _EVENT_TYPES,
    "payload_version": filters.text(),
    "url": URLS,
    "subscription": filters.text(),
    "event": filters.text(),
    "resource": filters.text(),
    "response_code": filters.number(0, 999),
    "failure_kind": _KINDS,
}

DELIVERY_FIELDS: Mapping[str, FieldKind] = {
    "create_time": filters.instant(),
    "state": filters.one_of(*State, prefix="STATE_"),
    **_COMMON,
}

ATTEMPT_FIELDS: Mapping[str, FieldKind] = {
    "start_time": filters.instant(),
    "status": filters.one_of("SUCCESS", "FAILURE", "INTERRUPTED", prefix="STATUS_"),
    "trigger": filters.one_of(*Trigger, prefix="TRIGGER_"),
    "duration_ms": filters.number(0, _MOST_MILLISECONDS),
    **_COMMON,
}

WATCH_FIELDS: Mapping[str, FieldKind] = {
    name: kind for name, kind in ATTEMPT_FIELDS.items() if name != "start_time"
}


def of_parent(owner: sa.ColumnElement[str], parent: str) -> sa.ColumnElement[bool]:
    """
    Return the condition that the column *owner* is *parent*, or one of those that it stands for.
    """
    if names.is_wildcard(parent):
        return owner.startswith(parent.removesuffix("-"), autoescape=True)
    return owner == parent


def conditions(
    table: sa.Table, owner: str, comparisons: Sequence[Comparison], time_column: str, hashed: Hash
) -> list[sa.ColumnElement[bool]]:
    """
    Return the conditions of a filter. Without a lower bound on *time_column*: the last 7 days.
    """
    found = unbounded(table, comparisons, hashed)
    if table is attempts:
        found += [_of_its_deliveries(owner, it) for it in comparisons if _is_of_few(it)]
    return [*found, *default_range(table.c[time_column], comparisons)]


def default_range(
    time: sa.Column[Any], comparisons: Sequence[Comparison]
) -> list[sa.ColumnElement[bool]]:
    """
    Return the condition that the column *time* is in the last 7 days, unless a filter has a lower
    bound on it, by its own name.
    """
    if any(it.field == time.key and it.operator in {">", ">=", "="} for it in comparisons):
        return []
    return [time >= after(-DEFAULT_RANGE)]


def unbounded(
    table: sa.Table, comparisons: Sequence[Comparison], hashed: Hash
) -> list[sa.ColumnElement[bool]]:
    """
    Return the conditions of a filter, without a default bound.
    """
    return [_condition(table, comparison, hashed) for comparison in comparisons]


def _condition(table: sa.Table, comparison: Comparison, hashed: Hash) -> sa.ColumnElement[bool]:
    if comparison.field == "url":
        return url_condition(table, str(comparison.value), comparison.operator, hashed)
    column, value = _stored(comparison)
    compared: sa.ColumnElement[bool] = filters.COMPARE[comparison.operator](table.c[column], value)
    return sa.and_(compared, *_narrowed(table, comparison, column, value))


def _narrowed(
    table: sa.Table, comparison: Comparison, column: str, value: object
) -> Iterator[sa.ColumnElement[bool]]:
    """
    Yield conditions that a comparison implies and for which there is an index.
    """
    if column == "event_id" and comparison.operator == "=":
        yield from _of_account(table, comparison)
    if table is not attempts:
        return
    if comparison.operator == "=" and (column == "failure_kind" or _is_no_success(column, value)):
        yield sa.literal_column("attempts.status <> 'SUCCESS'", sa.Boolean())
    if column == "duration_us" and comparison.operator in {"=", ">", ">="} and _is_slow(value):
        yield sa.literal_column(f"attempts.duration_us >= {SLOW_US}", sa.Boolean())


def _of_account(table: sa.FromClause, comparison: Comparison) -> Iterator[sa.ColumnElement[bool]]:
    with suppress(InvalidArgument):
        owner = names.parse("event", str(comparison.value)).owner
        yield table.c.account == names.account_number(owner)


def _is_of_few(comparison: Comparison) -> bool:
    return comparison.operator == "=" and comparison.field in {"event", "resource"}


def _of_its_deliveries(owner: str, comparison: Comparison) -> sa.ColumnElement[bool]:
    """
    Return the condition that finds the attempts of an event or a resource by its few deliveries.
    """
    found = deliveries.alias("named")
    column, value = _stored(comparison)
    same = [found.c.owner == owner, found.c[column] == value]
    same += _of_account(found, comparison) if column == "event_id" else ()
    ids = sa.select(found.c.delivery_id).where(*same)
    return _InQuery(attempts.c.delivery_id, ids.scalar_subquery())


class _InQuery(Condition):
    """
    Whether a column is among the results of a query, which runs first.

    With `IN`, and with a query that depends on rows of the log, PostgreSQL may walk the whole log
    in the order of the page.
    """

    inherit_cache = True


@compiles(_InQuery)
def _in(element: _InQuery, compiler: SQLCompiler, **kw: Any) -> str:
    column, query = (compiler.process(it, **kw) for it in element.clauses)
    return f"{column} IN {query}"


@compiles(_InQuery, "postgresql")
def _any(element: _InQuery, compiler: SQLCompiler, **kw: Any) -> str:
    column, query = (compiler.process(it, **kw) for it in element.clauses)
    return f"{column} = ANY (ARRAY {query})"


def _is_no_success(column: str, value: object) -> bool:
    return column == "response_code" and isinstance(value, int) and value not in range(200, 300)


def _is_slow(value: object) -> bool:
    return isinstance(value, int) and value >= SLOW_US


def _stored(comparison: Comparison) -> tuple[str, object]:
    """
    Return the column of a field, and the value as the column stores it.
    """
    match comparison.field, comparison.value:
        case "failure_kind", str(kind):
            return "failure_kind", FailureKind[kind].value
        case "trigger", str(trigger):
            return "attempt_trigger", trigger
        case "duration_ms", int(millis):
            return "duration_us", millis * 1000
        case "event", str(event):
            return "event_id", names.split(event)[1]
        case "subscription", str(subscription):
            return "subscription", names.split(subscription)[1]
        case field, value:
            return field, value


def parse_delivery_filter(source: str) -> tuple[Comparison, ...]:
    """
    Parse the filter of `ListDeliveries`. Raises `InvalidArgument`.
    """
    return filters.parse(source, DELIVERY_FIELDS)


def parse_attempt_filter(source: str) -> tuple[Comparison, ...]:
    """
    Parse the filter of `ListAttempts`. Raises `InvalidArgument`.
    """
    return filters.parse(source, ATTEMPT_FIELDS)


def parse_watch_filter(source: str) -> tuple[Comparison, ...]:
    """
    Parse the filter of `WatchAttempts`. Raises `InvalidArgument`.
    """
    return filters.parse(source, WATCH_FIELDS)
