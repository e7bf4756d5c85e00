"""
What was learnt about endpoints, as owners watch it, and what the config service
learns by itself: certificates that will expire.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from config_service.store import endpoint_reports, owned_resources
from config_service.store.owned_resources import CLIENT_CERTIFICATE
from config_service.store.schema import (
    client_certificates,
    endpoint_events,
    feed_state,
    subscriptions,
)
from service_runtime.database.instants import database_now
from service_runtime.rpc import names
from service_runtime.rpc.errors import FieldFault, InvalidArgument
from shipedge.webhooks.config.v1.endpoint_event_pb2 import EndpointEvent

BATCH = 500
WARN_DAYS = (30, 7)
"""
How long before its end a certificate is warned of.
"""

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
        )
    return int(found[1])


def cursor(revision: int) -> str:
    """
    Write the cursor behind a revision.
    """
    return f"r{revision}"


async def newest(db: AsyncConnection) -> int:
    """
    Return the revision from which on everything is new.
    """
    return int((await db.execute(sa.select(feed_state.c.revision))).scalar_one())


async def after(
    db: AsyncConnection, owner: str, revision: int
) -> tuple[Sequence[EndpointEvent], int]:
    """
    Return what was learnt of *owner*'s endpoints after a revision, and the revision reached.
    """
    columns = endpoint_events.c
    query = (
        sa.select(columns.received_revision, columns.report)
        .where(columns.owner == owner, columns.received_revision > revision)
        .order_by(columns.received_revision)
        .limit(BATCH)
    )
    rows = (await db.execute(query)).all()
    reached = rows[-1].received_revision if rows else revision
    return [EndpointEvent.FromString(row.report) for row in rows], reached


async def warn_of_certificates(db: AsyncConnection) -> list[tuple[str, int]]:
    """
    Note certificates in use that expire soon, once at 30 days and once at 7; return
    what is left of every one in use, in whole days.
    """
    query = sa.select(client_certificates, database_now().label("now"))
    rows = {CLIENT_CERTIFICATE.name_of(row): row for row in await db.execute(query)}
    used = await owned_resources.usage(db, CLIENT_CERTIFICATE, list(rows))
    left = {name: (rows[name].not_after - rows[name].now).days for name in used}
    for name, days in left.items():
        for limit in WARN_DAYS:
            if days < limit:
                await _warn(db, name, rows[name], limit)
    return sorted(left.items(), key=lambda item: item[1])


async def _warn(db: AsyncConnection, name: str, certificate: Any, limit: int) -> None:
    query = sa.select(subscriptions).where(
        subscriptions.c.client_certificate == name, subscriptions.c.delete_time.is_(None)
    )
    for row in (await db.execute(query)).all():
        mark = f"{certificate.sha256_fingerprint[:32]}-{limit}-{row.subscription_id}"
        known = sa.select(endpoint_events.c.stale).where(
            endpoint_events.c.endpoint_event_id == mark
        )
        if (await db.execute(known)).first() is None:
            event = _expiring(mark, row, certificate.now)
            await endpoint_reports.insert(db, row.owner, event)


def _expiring(mark: str, row: Any, now: datetime) -> EndpointEvent:
    event = EndpointEvent(
        endpoint_event_id=mark,
        subscription=names.subscription(row.owner, row.subscription_id),
        subscription_revision=row.revision,
        kind=EndpointEvent.KIND_CERTIFICATE_EXPIRING,
    )
    event.occur_time.FromDatetime(now)
    return event
