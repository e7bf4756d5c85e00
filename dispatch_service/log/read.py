"""
Reading the log: deliveries, attempts and bodies, newest first, in pages bounded by sort keys.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch_service.domain.errors import DeliveryNotFound
from dispatch_service.log.filters import conditions, unbounded
from dispatch_service.log.url_filters import Hash
from dispatch_service.storage import associated_data
from dispatch_service.storage.rows import (
    ATTEMPTS,
    DELIVERIES,
    WHOLE_ATTEMPTS,
    AttemptRow,
    DeliveryRow,
    WholeAttemptRow,
)
from dispatch_service.storage.schema import attempts, bodies, deliveries, endpoint_states
from dispatch_service.storage.sealing import DayKeys
from service_runtime.database.instants import from_microseconds, to_microseconds
from service_runtime.rpc import names
from service_runtime.rpc.filters import Comparison
from service_runtime.rpc.paging import Page, PageKey

DELIVERY_ORDER = (deliveries.c.create_time, deliveries.c.delivery_id)
ATTEMPT_ORDER = (attempts.c.start_time, attempts.c.delivery_id, attempts.c.number)
"""
What lists are sorted by, newest first.
"""

_BODY_KEY = ("owner", "account", "event_id", "event_type", "payload_version")


def delivery_query() -> sa.Select[tuple[object, ...]]:
    """
    Begin a query for deliveries and what is known of their bodies and endpoints.
    """
    body = _same(bodies, _BODY_KEY)
    endpoint = _same(endpoint_states, ("owner", "endpoint"))
    joined = deliveries.outerjoin(bodies, body).outerjoin(endpoint_states, endpoint)
    return DELIVERIES.select().select_from(joined)


def _same(table: sa.Table, names: Sequence[str]) -> sa.ColumnElement[bool]:
    return sa.and_(*(deliveries.c[name] == table.c[name] for name in names))


async def get_delivery(db: AsyncConnection, owner: str, delivery_id: str) -> DeliveryRow | None:
    """
    Return a delivery, or None.
    """
    same = (deliveries.c.owner == owner, deliveries.c.delivery_id == delivery_id)
    return await DELIVERIES.first(db, delivery_query().where(*same))


async def require_delivery(db: AsyncConnection, name: str) -> DeliveryRow:
    """
    Return the delivery *name*. Raises `InvalidArgument` and `DeliveryNotFound`.
    """
    parsed = names.parse("delivery", name)
    row = await get_delivery(db, parsed.owner, parsed.id)
    if row is None:
        raise DeliveryNotFound(name)
    return row


async def deliveries_of_event(
    db: AsyncConnection, owners: Sequence[str], account: int, event_id: str
) -> list[DeliveryRow]:
    """
    Return the deliveries of an event that belong to *owners*.
    """
    columns = deliveries.c
    same = (columns.account == account, columns.event_id == event_id)
    return await DELIVERIES.all(db, delivery_query().where(columns.owner.in_(owners), *same))


async def list_deliveries(
    db: AsyncConnection,
    owner: str,
    comparisons: Sequence[Comparison],
    *,
    hashed: Hash,
    size: int,
    begin_after: PageKey | None,
) -> Page[DeliveryRow]:
    """
    List the deliveries of *owner* for which the comparisons of a filter hold.
    """
    query = (
        delivery_query()
        .where(deliveries.c.owner == owner)
        .where(*conditions(deliveries, owner, comparisons, "create_time", hashed))
        .where(*deliveries_after(begin_after))
        .order_by(*(key.desc() for key in DELIVERY_ORDER))
        .limit(size + 1)
    )
    return Page(await DELIVERIES.all(db, query), size, delivery_key)


def deliveries_after(begin_after: PageKey | None) -> list[sa.ColumnElement[bool]]:
    """
    Return the conditions of a page of deliveries that begins after a sort key.
    """
    if begin_after is None:
        return []
    at, delivery_id = begin_after
    bound = sa.tuple_(_instant(at), sa.literal(str(delivery_id), deliveries.c.delivery_id.type))
    return [sa.tuple_(*DELIVERY_ORDER) < bound]


def delivery_key(row: DeliveryRow) -> PageKey:
    """
    Return the sort key of a delivery.
    """
    return [to_microseconds(row.create_time), row.delivery_id]


async def list_chosen(
    db: AsyncConnection,
    chosen: Sequence[sa.ColumnElement[bool]],
    size: int,
    begin_after: tuple[datetime, str] | None,
) -> list[DeliveryRow]:
    """
    List at most *size* deliveries for which the conditions *chosen* hold, oldest first.
    """
    keys = DELIVERY_ORDER
    query = delivery_query().where(*chosen).order_by(*keys).limit(size)
    if begin_after is not None:
        at, delivery_id = begin_after
        bound = sa.tuple_(sa.literal(at, keys[0].type), sa.literal(delivery_id, keys[1].type))
        query = query.where(sa.tuple_(*keys) > bound)
    return await DELIVERIES.all(db, query)


async def get_attempt(
    db: AsyncConnection, owner: str, delivery_id: str, number: int
) -> WholeAttemptRow | None:
    """
    Return an attempt, or None.
    """
    query = WHOLE_ATTEMPTS.select().where(
        attempts.c.owner == owner,
        attempts.c.delivery_id == delivery_id,
        attempts.c.number == number,
    )
    return await WHOLE_ATTEMPTS.first(db, query)


async def list_attempts(
    db: AsyncConnection,
    owner: str,
    delivery_id: str,
    comparisons: Sequence[Comparison],
    *,
    hashed: Hash,
    size: int,
    begin_after: PageKey | None,
) -> Page[AttemptRow]:
    """
    List the attempts of a delivery, or for an empty id those of all deliveries of *owner*.
    """
    query = ATTEMPTS.select().where(attempts.c.owner == owner)
    if delivery_id:
        found = unbounded(attempts, comparisons, hashed)
        found.append(attempts.c.delivery_id == delivery_id)
    else:
        found = conditions(attempts, owner, comparisons, "start_time", hashed)
    query = query.where(*found, *attempts_after(begin_after))
    query = query.order_by(*(key.desc() for key in ATTEMPT_ORDER)).limit(size + 1)
    return Page(await ATTEMPTS.all(db, query), size, attempt_key)


def attempts_after(begin_after: PageKey | None) -> list[sa.ColumnElement[bool]]:
    """
    Return the conditions of a page of attempts that begins after a sort key.
    """
    if begin_after is None:
        return []
    at, delivery_id, number = begin_after
    bound = sa.tuple_(
        _instant(at),
        sa.literal(str(delivery_id), attempts.c.delivery_id.type),
        sa.literal(int(number)),
    )
    return [sa.tuple_(*ATTEMPT_ORDER) < bound]


def attempt_key(row: AttemptRow) -> PageKey:
    """
    Return the sort key of an attempt.
    """
    return [to_microseconds(row.start_time), row.delivery_id, row.number]


async def read_body(db: AsyncConnection, keys: DayKeys, delivery: DeliveryRow) -> bytes | None:
    """
    Return the payload of a delivery, or None where it was erased or is past its retention.
    """
    query = sa.select(bodies.c.sealed_body).where(
        *(bodies.c[name] == getattr(delivery, name) for name in _BODY_KEY)
    )
    sealed = (await db.execute(query)).scalar_one_or_none()
    if sealed is None:
        return None
    contract = (delivery.event_type, delivery.payload_version)
    associated = associated_data.body(delivery.owner, delivery.account, delivery.event_id, contract)
    return await keys.open(sealed, associated)


def _instant(micros: int | str) -> sa.BindParameter[datetime]:
    return sa.literal(from_microseconds(int(micros)), deliveries.c.create_time.type)
