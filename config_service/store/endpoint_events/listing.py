"""
Endpoint events as owners list them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from config_service.store.rows import ENDPOINT_EVENTS, EndpointEventRow, of_parent
from config_service.store.schema import endpoint_events
from service_runtime.database.instants import from_microseconds, to_microseconds
from service_runtime.rpc import filters
from service_runtime.rpc.filters import Comparison
from service_runtime.rpc.paging import Page, PageKey
from shipedge.webhooks.config.v1.endpoint_event_pb2 import EndpointEvent
from shipedge.webhooks.events.v1.failure_kind_pb2 import FailureKind


def _values(names_of: Iterable[str], prefix: str) -> list[str]:
    """
    Return the names of an enum without their prefix, but for the one that means nothing.
    """
    return [name.removeprefix(prefix) for name in names_of if name != f"{prefix}UNSPECIFIED"]


FILTER_FIELDS: Mapping[str, filters.FieldKind] = {
    "occur_time": filters.instant(),
    "kind": filters.one_of(*_values(EndpointEvent.Kind.keys(), "KIND_"), prefix="KIND_"),
    "subscription": filters.text(),
    "failure_kind": filters.one_of(
        *_values(FailureKind.keys(), "FAILURE_KIND_"), prefix="FAILURE_KIND_"
    ),
}

_ORDER = (endpoint_events.c.occur_time, endpoint_events.c.endpoint_event_id)


async def list_rows(
    db: AsyncConnection,
    parent: str,
    comparisons: Iterable[Comparison],
    *,
    size: int,
    begin_after: PageKey | None,
) -> Page[EndpointEventRow]:
    """
    List the endpoint events of *parent* for which the comparisons hold, newest first.
    """
    query = ENDPOINT_EVENTS.select().where(
        of_parent(endpoint_events.c.owner, parent), _ORDER[0].is_not(None)
    )
    if begin_after is not None:
        at, event_id = begin_after
        instant = sa.literal(from_microseconds(int(at)), _ORDER[0].type)
        query = query.where(sa.tuple_(*_ORDER) < sa.tuple_(instant, sa.literal(str(event_id))))
    query = query.where(*map(_condition, comparisons))
    query = query.order_by(*(key.desc() for key in _ORDER)).limit(size + 1)
    return Page(await ENDPOINT_EVENTS.all(db, query), size, _key)


def _condition(comparison: Comparison) -> sa.ColumnElement[bool]:
    compare = filters.COMPARE[comparison.operator]
    found: sa.ColumnElement[bool] = compare(endpoint_events.c[comparison.field], comparison.value)
    return found


def _key(row: EndpointEventRow) -> PageKey:
    at: datetime = row.occur_time or row.create_time
    return [to_microseconds(at), row.endpoint_event_id]
