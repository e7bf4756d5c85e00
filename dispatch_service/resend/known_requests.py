"""
Request ids of the last day: a manual action that is repeated changes nothing.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from dispatch_service.storage.schema import request_ids
from service_runtime.database.inserts import insert
from service_runtime.database.instants import database_now
from service_runtime.rpc.request_ids import RequestIdReused

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from shipedge.webhooks.dispatch.v1 import delivery_service_pb2 as pb

    JobRequest = pb.ResendDeliveriesRequest | pb.ReplayEventsRequest


async def seen(
    db: AsyncConnection, owner: str, request_id: str, method: str, resource: str
) -> bool:
    """
    Tell whether the same action was requested before under *request_id*; record it if not.

    Raises `RequestIdReused` where the id was used for something else.
    """
    known = await _first_use(db, owner, request_id, method, resource)
    if known not in {None, resource}:
        raise RequestIdReused(method)
    return known is not None


async def earlier_job(
    db: AsyncConnection, owner: str, request: JobRequest, method: str, name: str
) -> str | None:
    """
    Record that a request creates the job *name*. Return the name of the job that an earlier call
    with its id created, None if it is the first one.

    Raises `RequestIdReused` where the id was used for another request.
    """
    digest = hashlib.sha256(request.SerializeToString(deterministic=True)).hexdigest()
    known = await _first_use(db, owner, request.request_id, method, f"{name}?{digest}")
    if known is None:
        return None
    earlier, _, used_for = known.partition("?")
    if used_for != digest:
        raise RequestIdReused(method)
    return earlier


async def _first_use(
    db: AsyncConnection, owner: str, request_id: str, method: str, resource: str
) -> str | None:
    """
    Record what a request id is used for. Return what it was used for before, None if it is new.

    A call with the same id that has not been answered yet is waited for. Raises
    `RequestIdReused` where the id was used for another *method*.
    """
    if not request_id:
        return None
    row: dict[str, Any] = {"owner": owner, "request_id": request_id, "method": method}
    row |= {"resource": resource, "create_time": database_now()}
    statement = insert(db.dialect.name, request_ids).on_conflict_do_nothing()
    if (await db.execute(statement.values(row))).rowcount:
        return None
    query = sa.select(request_ids.c.method, request_ids.c.resource).where(
        request_ids.c.owner == owner, request_ids.c.request_id == request_id
    )
    known = (await db.execute(query)).one()
    if known.method != method:
        raise RequestIdReused(method)
    return str(known.resource)
