"""
Reading stored events, alone and in lists, and which deliveries were made of them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec
import sqlalchemy as sa
from google.protobuf.message import DecodeError

from dispatch_service.domain.erasure_subjects import Hashed
from dispatch_service.domain.work import EventKey
from dispatch_service.log.event_filters import (
    event_conditions,
    has_lower_bound,
    has_order_number,
    is_of_few,
)
from dispatch_service.log.filters import DEFAULT_RANGE
from dispatch_service.storage import associated_data
from dispatch_service.storage.rows import EVENTS, EventRow
from dispatch_service.storage.schema import deliveries, event_keys, events
from dispatch_service.storage.sealing import DayKeys
from service_runtime.database.engine import reading
from service_runtime.database.instants import after, from_microseconds, to_microseconds
from service_runtime.database.row_values import in_keys
from service_runtime.keys.keyring import SealBrokenError, UnknownKeyError
from service_runtime.process.failures import FailureLog
from service_runtime.rpc import filters, names
from service_runtime.rpc.errors import FieldFault, InvalidArgument
from service_runtime.rpc.filters import Comparison
from service_runtime.rpc.paging import Page, PageKey
from shipedge.webhooks.events.v1 import event_pb2

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

BATCH = 50
"""
Of how many events one statement reads contents, which are up to 256 KiB, or deliveries.
"""

_KEY = (events.c.account, events.c.event_id)

_failures = FailureLog("event.read_failed")


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """
    A stored event; *event* is None if its content was erased.
    """

    accept_time: datetime
    matched: bool
    event: event_pb2.Event | None = field(repr=False)


@dataclass(slots=True)
class EventDeliveries:
    """
    What was made of an event: its deliveries by state, and their event types.
    """

    counts: Counter[str] = field(default_factory=Counter)
    event_types: set[str] = field(default_factory=set)


async def find(
    engine: AsyncEngine, keys: DayKeys, account: int, event_id: str
) -> StoredEvent | None:
    """
    Read a stored event; return None if there is none with this id.
    """
    query = sa.select(events.c.accept_time, events.c.match_state, events.c.sealed_payload).where(
        events.c.account == account, events.c.event_id == event_id
    )
    async with reading(engine) as db:
        row = (await db.execute(query)).one_or_none()
    if row is None:
        return None
    content = None
    if row.sealed_payload is not None:
        opened = await keys.open(row.sealed_payload, associated_data.event(account, event_id))
        content = event_pb2.Event.FromString(opened)
    return StoredEvent(row.accept_time, row.match_state == "MATCHED", content)


async def read(
    db: AsyncConnection, keys: DayKeys, account: int, event_id: str
) -> event_pb2.Event | None:
    """
    Read the content of an event; return None if it was erased or pruned.
    """
    query = sa.select(events.c.sealed_payload).where(
        events.c.account == account, events.c.event_id == event_id
    )
    sealed = (await db.execute(query)).scalar_one_or_none()
    if sealed is None:
        return None
    return event_pb2.Event.FromString(
        await keys.open(sealed, associated_data.event(account, event_id))
    )


async def contents(
    db: AsyncConnection, keys: DayKeys, of: Sequence[EventKey]
) -> dict[EventKey, event_pb2.Event]:
    """
    Read the contents of some events, without those that are gone. One that cannot be opened is
    logged and left out.
    """
    columns = events.c
    query = sa.select(columns.account, columns.event_id, columns.sealed_payload).where(
        in_keys([columns.account, columns.event_id], of), columns.sealed_payload.is_not(None)
    )
    found = {}
    for account, event_id, sealed in (await db.execute(query)).all():
        try:
            opened = await keys.open(sealed, associated_data.event(account, event_id))
            found[account, event_id] = event_pb2.Event.FromString(opened)
        except (SealBrokenError, UnknownKeyError, DecodeError) as error:
            _failures.log(error, account=account)
    return found


async def deliveries_of(
    engine: AsyncEngine, owners: Sequence[str], account: int, event_id: str
) -> dict[str, str]:
    """
    Map the names of the subscriptions of *owners* that an event was sent to, to the ids of
    the deliveries.
    """
    query = sa.select(
        deliveries.c.owner, deliveries.c.subscription, deliveries.c.delivery_id
    ).where(
        deliveries.c.owner.in_(owners),
        deliveries.c.account == account,
        deliveries.c.event_id == event_id,
    )
    async with reading(engine) as db:
        rows = (await db.execute(query)).all()
    return {names.subscription(it.owner, it.subscription): str(it.delivery_id) for it in rows}


def event_key(row: EventRow) -> PageKey:
    """
    Return the sort key of an event.
    """
    return [to_microseconds(row.accept_time), row.account, row.event_id]


async def get_event(db: AsyncConnection, account: int, event_id: str) -> EventRow | None:
    """
    Return an event, or None.
    """
    same = (events.c.account == account, events.c.event_id == event_id)
    return await EVENTS.first(db, EVENTS.select().where(*same))


async def list_events(
    db: AsyncConnection,
    parent: str,
    comparisons: Sequence[Comparison],
    *,
    hashed: Hashed,
    owners: Collection[str],
    size: int,
    begin_after: PageKey | None,
) -> Page[EventRow]:
    """
    List the events of *parent*, an account or `accounts/-`, for a caller who may access *owners*.

    Raises `InvalidArgument` for a filter that would have to read the events of all accounts.
    """
    time = events.c.accept_time
    query = EVENTS.select()
    if not names.is_wildcard(parent):
        query = query.where(events.c.account == names.account_number(parent))
        if not is_of_few(comparisons) and not has_lower_bound(comparisons):
            query = query.where(time >= after(-DEFAULT_RANGE))
    elif has_order_number(comparisons):
        query = query.select_from(_of_all_accounts())
    else:
        if not has_lower_bound(comparisons):
            raise _needed()
        time = event_keys.c.accept_time
        query = query.select_from(_by_time()).where(*_accepted(comparisons))
    found = event_conditions(comparisons, hashed, owners, db.dialect.name)
    query = query.where(*found, *_after(time, begin_after))
    query = query.order_by(time.desc(), *(it.desc() for it in _KEY)).limit(size + 1)
    return Page(await EVENTS.all(db, query), size, event_key)


def _needed() -> InvalidArgument:
    needed = 'must have order_number = "…" or accept_time >= "…" where the parent stands for all'
    return InvalidArgument("The request is not valid.", faults=[FieldFault("filter", needed)])


def _of_all_accounts() -> sa.FromClause:
    """
    Join events with a walk from account to account over the index of order numbers.
    """
    account, filled = events.c.account, events.c.order_number_hash.is_not(None)
    walk = (
        sa.select(sa.func.min(account).label("account")).where(filled).cte("walk", recursive=True)
    )
    later = sa.select(sa.func.min(account)).where(account > walk.c.account, filled)
    walk = walk.union_all(sa.select(later.scalar_subquery()).where(walk.c.account.is_not(None)))
    return walk.join(events, account == walk.c.account)


def _by_time() -> sa.FromClause:
    """
    Join events with their keys, which have an index by time of all accounts.
    """
    same = (key == event_keys.c[key.key] for key in _KEY)
    return event_keys.join(events, sa.and_(*same))


def _accepted(comparisons: Sequence[Comparison]) -> Iterator[sa.ColumnElement[bool]]:
    for it in comparisons:
        if it.field == "accept_time":
            yield filters.COMPARE[it.operator](event_keys.c.accept_time, it.value)


def _after(
    time: sa.Column[object], begin_after: PageKey | None
) -> Iterator[sa.ColumnElement[bool]]:
    if begin_after is None:
        return
    at, account, event_id = begin_after
    instant = sa.literal(from_microseconds(int(at)), time.type)
    yield time <= instant
    yield sa.tuple_(time, *_KEY) < sa.tuple_(
        instant, sa.literal(int(account), sa.BigInteger), sa.literal(str(event_id))
    )


async def made_of(
    db: AsyncConnection, rows: Sequence[EventRow], may_touch: Callable[[str], bool]
) -> Mapping[EventKey, EventDeliveries]:
    """
    Return what was made of events, as far as it is of owners that *may_touch* accepts.
    """
    columns = deliveries.c
    keys = [
        (owner, row.account, row.event_id)
        for row in rows
        for owner in _owners(row)
        if may_touch(owner)
    ]
    of_event = (columns.account, columns.event_id, columns.event_type, columns.state)
    query = (
        sa.select(*of_event, sa.func.count())
        .where(in_keys([columns.owner, columns.account, columns.event_id], keys))
        .group_by(*of_event)
    )
    found: dict[EventKey, EventDeliveries] = defaultdict(EventDeliveries)
    for account, event_id, event_type, state, count in (await db.execute(query)).all():
        made = found[account, event_id]
        made.counts[state] += count
        made.event_types.add(event_type)
    return found


def _owners(row: EventRow) -> list[str]:
    warehouses = msgspec.json.decode(row.warehouses) if row.warehouses else ()
    return [names.account(row.account), *map(names.warehouse, warehouses)]
