"""
The request ids of a day: a manual action that is repeated changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from dispatch_service.errors import RequestIdReused
from dispatch_service.schema import request_ids
from shipedge.webhooks.runtime.database import database_now

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection


async def find(db: AsyncConnection, owner: str, request_id: str, method: str) -> str | None:
    """
    Return what a request id was used for, None where it is new.

    Raises `RequestIdReused` where it was used for another *method*.
    """
    if not request_id:
        return None
    query = sa.select(request_ids.c.method, request_ids.c.resource).where(
        request_ids.c.owner == owner, request_ids.c.request_id == request_id
    )
    known = (await db.execute(query)).one_or_none()
    if known is None:
        return None
    if known.method != method:
        raise RequestIdReused(method)
    return str(known.resource)


async def remember(
    db: AsyncConnection, owner: str, request_id: str, method: str, resource: str
) -> None:
    """
    Note what a request id is used for.
    """
    if request_id:
        row = {"owner": owner, "request_id": request_id, "method": method, "resource": resource}
        await db.execute(sa.insert(request_ids).values(**row, create_time=database_now()))


async def seen(
    db: AsyncConnection, owner: str, request_id: str, method: str, resource: str
) -> bool:
    """
    Tell whether just this was asked for before; note it where it was not.

    Raises `RequestIdReused` where the id was used for something else.
    """
    known = await find(db, owner, request_id, method)
    if known is None:
        await remember(db, owner, request_id, method, resource)
    elif known != resource:
        raise RequestIdReused(method)
    return known is not None
