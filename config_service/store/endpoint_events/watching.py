"""
Endpoint events as owners watch them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from config_service.store.endpoint_events.event_rows import message_of
from config_service.store.rows import ENDPOINT_EVENTS
from config_service.store.schema import endpoint_events, feed_state
from service_runtime.rpc.errors import FieldFault, InvalidArgument
from shipedge.webhooks.config.v1.endpoint_event_pb2 import EndpointEvent

BATCH = 500

_CURSOR = re.compile(r"r(0|[1-9][0-9]{0,17})")


def parse_cursor(text: str) -> int:
    """
    Return the revision of a cursor. Raises `InvalidArgument`.
    """
    found = _CURSOR.fullmatch(text)
    if found is None:
        raise InvalidArgument(
            "The cursor is not one of this stream.",
            reason="CURSOR_INVALID",
            faults=[FieldFault("cursor", "must be the cursor of an answer, or empty")],
            method="WatchEndpointEvents",
        )
    return int(found[1])


def cursor(revision: int) -> str:
    """
    Return the cursor after a revision.
    """
    return f"r{revision}"


async def newest(db: AsyncConnection) -> int:
    """
    Return the newest revision: what is reported from now on gets a higher one.
    """
    return int((await db.execute(sa.select(feed_state.c.revision))).scalar_one())


async def after(
    db: AsyncConnection, owner: str, revision: int
) -> tuple[Sequence[EndpointEvent], int]:
    """
    Return at most one batch of *owner*'s endpoint events after a revision, and the revision
    that it reaches.
    """
    columns = endpoint_events.c
    query = (
        ENDPOINT_EVENTS.select()
        .where(columns.owner == owner, columns.received_revision > revision)
        .order_by(columns.received_revision)
        .limit(BATCH)
    )
    rows = await ENDPOINT_EVENTS.all(db, query)
    reached = rows[-1].received_revision if rows else revision
    return list(map(message_of, rows)), reached
