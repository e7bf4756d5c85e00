"""
Reading the log: deliveries, attempts and bodies, newest first, in keyset pages.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch_service.log.filters import Hash, conditions, unbounded
from dispatch_service.storage import associated_data
from dispatch_service.storage.schema import attempts, bodies, deliveries
from dispatch_service.storage.sealing import DayKeys
from service_runtime.database.instants import from_microseconds, to_microseconds
from service_runtime.rpc.filters import Comparison
from service_runtime.rpc.paging import PageKey

_BODY_KEY = ("owner", "account", "event_id", "event_type", "payload_version")


@dataclass(frozen=True, slots=True)
class Page:
    """
    Rows of a list, and the sort key that the next page begins after, if there is one.
    """

    rows: Sequence[Any]
    last: PageKey | None
    key_of: Callable[[Any], PageKey]

    def last_of(self, shown: int) -> PageKey | None:
        """
        Return that key where only the first *shown* rows fit into the page.
        """
        return self.last if shown == len(self.rows) else self.key_of(self.rows[shown - 1])


def _with_body() -> sa.Select[Any]:
    """
    Select deliveries with what is known of their bodies.
    """
    same = sa.and_(*(deliveries.c[name] == bodies.c[name] for name in _BODY_KEY))
    return sa.select(deliveries, bodies.c.sha256, bodies.c.body_bytes).select_from(
        deliveries.outerjoin(bodies, same)
    )


async def get_delivery(db: AsyncConnection, owner: str, delivery_id: str) -> Any | None:
    """
    Return the row of a delivery, or None.
    """
    query = _with_body().where(deliveries.c.owner == owner, deliveries.c.delivery_id == delivery_id)
    return (await db.execute(query)).one_or_none()


async def list_deliveries(
    db: AsyncConnection,
    owner: str,
    comparisons: Sequence[Comparison],
    *,
    hashed: Hash,
    size: int,
    begin_after: PageKey | None,
) -> Page:
    """
    List the deliveries of *owner*.
    """
    keys = (deliveries.c.create_time, deliveries.c.delivery_id)
    query = (
        _with_body()
        .where(deliveries.c.owner == owner)
        .where(*conditions(deliveries, owner, comparisons, "create_time", hashed))
        .order_by(*(key.desc() for key in keys))
        .limit(size + 1)
    )
    if begin_after is not None:
        at, delivery_id = begin_after
        bound = sa.tuple_(_instant(at), sa.literal(str(delivery_id), deliveries.c.delivery_id.type))
        query = query.where(sa.tuple_(*keys) < bound)
    rows = (await db.execute(query)).all()
    return page(rows, size, lambda row: [to_microseconds(row.create_time), row.delivery_id])


async def list_chosen(
    db: AsyncConnection,
    chosen: Sequence[sa.ColumnElement[bool]],
    size: int,
    begin_after: tuple[datetime, str] | None,
) -> Sequence[Any]:
    """
    List deliveries that are *chosen*, oldest first.
    """
    keys = (deliveries.c.create_time, deliveries.c.delivery_id)
    query = _with_body().where(*chosen).order_by(*keys).limit(size)
    if begin_after is not None:
        at, delivery_id = begin_after
        bound = sa.tuple_(sa.literal(at, keys[0].type), sa.literal(delivery_id, keys[1].type))
        query = query.where(sa.tuple_(*keys) > bound)
    found: Sequence[Any] = (await db.execute(query)).all()
    return found


async def get_attempt(db: AsyncConnection, owner: str, delivery_id: str, number: int) -> Any | None:
    """
    Return the row of an attempt, or None.
    """
    query = sa.select(attempts).where(
        attempts.c.owner == owner,
        attempts.c.delivery_id == delivery_id,
        attempts.c.number == number,
    )
    return (await db.execute(query)).one_or_none()


async def list_attempts(
    db: AsyncConnection,
    owner: str,
    delivery_id: str,
    comparisons: Sequence[Comparison],
    *,
    hashed: Hash,
    size: int,
    begin_after: PageKey | None,
) -> Page:
    """
    List the attempts of a delivery, or for an empty id of all deliveries of *owner*.
    """
    keys = (attempts.c.start_time, attempts.c.delivery_id, attempts.c.number)
    columns = [column for column in attempts.c if column.name != "sealed_exchange"]
    query = sa.select(*columns).where(attempts.c.owner == owner)
    if delivery_id:
        found = unbounded(attempts, comparisons, hashed)
        found.append(attempts.c.delivery_id == delivery_id)
    else:
        found = conditions(attempts, owner, comparisons, "start_time", hashed)
    query = query.where(*found).order_by(*(key.desc() for key in keys)).limit(size + 1)
    if begin_after is not None:
        at, last_delivery, number = begin_after
        bound = sa.tuple_(
            _instant(at),
            sa.literal(str(last_delivery), attempts.c.delivery_id.type),
            sa.literal(int(number)),
        )
        query = query.where(sa.tuple_(*keys) < bound)
    rows = (await db.execute(query)).all()
    return page(
        rows, size, lambda row: [to_microseconds(row.start_time), row.delivery_id, row.number]
    )


async def read_body(db: AsyncConnection, keys: DayKeys, delivery: Any) -> bytes | None:
    """
    Return the payload of a delivery, None where it is gone.
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


def page(rows: Sequence[Any], size: int, key_of: Callable[[Any], PageKey]) -> Page:
    """
    Make a page of *size* of rows, one more of which was asked for.
    """
    shown = rows[:size]
    return Page(shown, key_of(shown[-1]) if len(rows) > size else None, key_of)
