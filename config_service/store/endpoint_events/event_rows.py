"""
Endpoint events as rows: written, completed and deleted by age.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from config_service.store.changes import next_revision
from config_service.store.deletion import delete_in_batches
from config_service.store.rows import EndpointEventRow
from config_service.store.schema import endpoint_events
from service_runtime.database.engine import reading, writing
from service_runtime.database.instants import after, database_now
from shipedge.webhooks.config.v1.endpoint_event_pb2 import EndpointEvent
from shipedge.webhooks.events.v1.failure_kind_pb2 import FailureKind

SKIPPED_KEPT = timedelta(days=1)
"""
How long numbers of skipped events are kept: one may come every few seconds. Their sum stays on
the subscription.
"""

_AT_ONCE = 1000
_SKIPPED = EndpointEvent.Kind.Name(EndpointEvent.KIND_EVENTS_SKIPPED).removeprefix("KIND_")


async def insert(
    db: AsyncConnection, owner: str, event: EndpointEvent, *, stale: bool = False
) -> None:
    """
    Store an endpoint event at a new revision, by which watchers find it.
    """
    row = {
        "endpoint_event_id": event.endpoint_event_id,
        "owner": owner,
        "received_revision": await next_revision(db),
        "stale": stale,
        "report": event.SerializeToString(),
        "create_time": database_now(),
        "occur_time": database_now(),
        **listed_columns(event),
    }
    await db.execute(sa.insert(endpoint_events).values(row))


def listed_columns(event: EndpointEvent) -> Mapping[str, object]:
    """
    Return the columns that lists choose and sort by. Without a time in *event* there is none here.
    """
    columns: dict[str, object] = {
        "subscription": event.subscription,
        "kind": EndpointEvent.Kind.Name(event.kind).removeprefix("KIND_"),
        "failure_kind": _failure_kind(event.failure_kind),
    }
    if event.HasField("occur_time"):
        columns["occur_time"] = event.occur_time.ToDatetime(tzinfo=UTC)
    return columns


def _failure_kind(number: FailureKind.ValueType) -> str:
    return FailureKind.Name(number).removeprefix("FAILURE_KIND_") if number else ""


def message_of(row: EndpointEventRow) -> EndpointEvent:
    """
    Return the endpoint event of a row.
    """
    message = EndpointEvent.FromString(row.report)
    message.stale = row.stale
    return message


async def complete(engine: AsyncEngine) -> int:
    """
    Fill the columns that lists need in rows that the release before wrote; return how many.
    """
    columns = endpoint_events.c
    query = sa.select(columns.endpoint_event_id, columns.report, columns.create_time)
    query = query.where(columns.occur_time.is_(None)).limit(_AT_ONCE)
    completed = 0
    while True:
        async with reading(engine) as db:
            rows = (await db.execute(query)).all()
        async with writing(engine) as db:
            for row in rows:
                found = listed_columns(EndpointEvent.FromString(row.report))
                same = columns.endpoint_event_id == row.endpoint_event_id
                values = {"occur_time": row.create_time, **found}
                await db.execute(sa.update(endpoint_events).where(same).values(values))
        completed += len(rows)
        if len(rows) < _AT_ONCE:
            return completed


async def prune(engine: AsyncEngine, keep: timedelta) -> int:
    """
    Delete endpoint events that are older than *keep*, numbers of skipped events those older than
    a day, in batches; return how many.
    """
    columns = endpoint_events.c
    skipped = (columns.kind == _SKIPPED, columns.occur_time < after(-min(keep, SKIPPED_KEPT)))
    deleted = await _delete(engine, *skipped)
    return deleted + await _delete(engine, columns.occur_time < after(-keep))


async def _delete(engine: AsyncEngine, *old: sa.ColumnElement[bool]) -> int:
    key = endpoint_events.c.endpoint_event_id
    batch = sa.delete(endpoint_events).where(key.in_(sa.select(key).where(*old).limit(_AT_ONCE)))
    return await delete_in_batches(engine, batch, _AT_ONCE)
