"""
The table of endpoint events that have yet to be reported to the config service.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from dispatch_service.storage.schema import endpoint_reports
from service_runtime.database.inserts import insert
from service_runtime.database.instants import database_now
from service_runtime.database.row_values import in_keys
from shipedge.webhooks.config.v1 import endpoint_event_pb2

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection


async def put_reports(
    db: AsyncConnection, reports: Iterable[tuple[str, endpoint_event_pb2.EndpointEvent]]
) -> None:
    """
    Store endpoint events of owners' subscriptions, to be reported. One that is stored already
    stays as it is.
    """
    for owner, report in reports:
        row = {
            "owner": owner,
            "endpoint_event_id": report.endpoint_event_id,
            "report": report.SerializeToString(),
            "create_time": database_now(),
        }
        added = insert(db.dialect.name, endpoint_reports).values(row)
        await db.execute(added.on_conflict_do_nothing())


async def oldest_reports(db: AsyncConnection, limit: int) -> list[Any]:
    """
    Return at most *limit* rows, the oldest first.
    """
    query = sa.select(endpoint_reports).order_by(endpoint_reports.c.create_time).limit(limit)
    return list((await db.execute(query)).all())


async def drop_reports(db: AsyncConnection, rows: Iterable[Any]) -> None:
    """
    Delete rows that were reported.
    """
    columns = endpoint_reports.c
    keys = [(row.owner, row.endpoint_event_id) for row in rows]
    reported = in_keys([columns.owner, columns.endpoint_event_id], keys)
    await db.execute(sa.delete(endpoint_reports).where(reported))
