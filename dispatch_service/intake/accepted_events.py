"""
Reading accepted events by the time of their acceptance, a bounded number at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec
import sqlalchemy as sa
from google.protobuf.message import DecodeError

from dispatch_service.domain.confidential import Confidential
from dispatch_service.domain.transitions import TEST_RESOURCES
from dispatch_service.domain.work import EventKey
from dispatch_service.intake.late_subscriptions import WantedEvents
from dispatch_service.storage import associated_data
from dispatch_service.storage.schema import event_keys, events
from dispatch_service.storage.sealing import DayKeys
from service_runtime.database.engine import reading
from service_runtime.database.row_values import in_keys
from service_runtime.keys.keyring import SealBrokenError, UnknownKeyError
from service_runtime.process.failures import FailureLog
from shipedge.webhooks.events.v1 import event_pb2

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

PAGE = 1000
"""
How many keys of events one statement reads; about ten milliseconds of the database's time.
"""


_CONTENT = sa.select(
    events.c.account,
    events.c.event_id,
    events.c.accept_time,
    events.c.sequence,
    events.c.sealed_payload,
)


class AcceptedEvent(Confidential, frozen=True, gc=False):
    """
    An accepted event with its content.
    """

    event: event_pb2.Event
    accept_time: datetime


class Page(msgspec.Struct, frozen=True, gc=False):
    """
    The keys of the wanted events of a page, oldest first. *last* is the time up to which events
    were looked at, None where there are no more.
    """

    keys: Sequence[EventKey]
    last: datetime | None


async def page(
    db: AsyncConnection,
    wanted: WantedEvents,
    begin_after: datetime,
    until: datetime,
    size: int = PAGE,
) -> Page:
    """
    Look at about *size* events that were accepted after an instant, and not after *until*.

    Events of the same instant are looked at together.
    """
    while True:
        rows = (await db.execute(_select(wanted, begin_after, until, size))).all()
        rows = sorted(rows, key=lambda row: row.accept_time)
        if len(rows) < size:
            return Page(_wanted(rows), None)
        last = rows[-1].accept_time
        whole = [row for row in rows if row.accept_time < last]
        if whole:
            return Page(_wanted(whole), whole[-1].accept_time)
        size *= 2


def _wanted(rows: Sequence[sa.Row[Any]]) -> list[EventKey]:
    return [(row.account, row.event_id) for row in rows if row.is_wanted]


def _select(
    wanted: WantedEvents, begin_after: datetime, until: datetime, size: int
) -> sa.Select[Any]:
    """
    Select keys in the order of the index of `event_keys`, or of `events` where one account is
    wanted, each with whether it is wanted.
    """
    key = event_keys.c
    mine: sa.ColumnElement[bool] = sa.true()
    if len(wanted.accounts) == 1 and not wanted.of_warehouses:
        key = events.alias("mine").c
        mine = key.account == min(wanted.accounts)
    recent = (
        sa.select(key.account, key.event_id, key.accept_time)
        .where(mine, key.accept_time > begin_after, key.accept_time <= until)
        .order_by(key.accept_time)
        .limit(size)
        .subquery("recent")
    )
    columns = events.c
    same = sa.and_(columns.account == recent.c.account, columns.event_id == recent.c.event_id)
    joined = recent.outerjoin(events, sa.and_(same, is_wanted(wanted)))
    return sa.select(*recent.c, columns.event_id.is_not(None).label("is_wanted")).select_from(
        joined
    )


def is_wanted(wanted: WantedEvents) -> sa.ColumnElement[bool]:
    """
    Return the condition that an event may match.
    """
    columns = events.c
    owned: sa.ColumnElement[bool] = columns.account.in_(wanted.accounts)
    if wanted.of_warehouses:
        owned = sa.or_(owned, columns.warehouses.is_not(None))
    return sa.and_(
        owned,
        columns.domain_event.in_(wanted.domain_events),
        columns.match_state == "MATCHED",
        # A test is for the one subscription that it was sent to.
        sa.not_(columns.resource.startswith(TEST_RESOURCES)),
    )


class EventReader:
    """
    Reads the contents of accepted events. One that cannot be opened is logged and left out.
    """

    def __init__(self, engine: AsyncEngine, keys: DayKeys) -> None:
        self._engine = engine
        self._keys = keys
        self._failures = FailureLog("event.match_failed")

    async def waiting(self, limit: int) -> list[AcceptedEvent]:
        """
        Return events that wait for a snapshot, oldest first.
        """
        pending = events.c.match_state == sa.literal_column("'PENDING_MATCH'")
        query = _CONTENT.where(pending).order_by(events.c.accept_time).limit(limit)
        async with reading(self._engine) as db:
            rows = (await db.execute(query)).all()
        return await self._opened(rows)

    async def read(self, keys: Sequence[EventKey]) -> list[AcceptedEvent]:
        """
        Return the events with *keys* that still have their content, in the order of their
        acceptance, those of one instant in the order of their sequence numbers.
        """
        columns = events.c
        found = in_keys([columns.account, columns.event_id], keys)
        query = _CONTENT.where(found, columns.sealed_payload.is_not(None))
        async with reading(self._engine) as db:
            rows: Sequence[Any] = (await db.execute(query)).all()
        return await self._opened(sorted(rows, key=lambda row: (row.accept_time, row.sequence)))

    async def _opened(self, rows: Iterable[Any]) -> list[AcceptedEvent]:
        found = []
        for row in rows:
            try:
                content = await self._keys.open(
                    row.sealed_payload, associated_data.event(row.account, row.event_id)
                )
                event = event_pb2.Event.FromString(content)
            except (SealBrokenError, UnknownKeyError, DecodeError) as error:
                self._failures.log(error, account=row.account)
            else:
                found.append(AcceptedEvent(event, row.accept_time))
        return found
