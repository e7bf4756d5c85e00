"""
The table of held resources: what the config service no longer names, and what cannot be used.

A subscription that comes back stays in the table as RETURNED, until the events that it missed
are matched with it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

import sqlalchemy as sa

from dispatch_service.feed import reports
from dispatch_service.storage.schema import held_resources
from service_runtime.database.inserts import insert
from service_runtime.database.instants import after, database_now
from service_runtime.rpc import names
from shipedge.webhooks.config.v1.endpoint_event_pb2 import EndpointEvent
from shipedge.webhooks.events.v1.failure_kind_pb2 import (
    FAILURE_KIND_UNSPECIFIED,
    FAILURE_KIND_UNUSABLE,
)

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection


_ROWS_AT_ONCE = 500


class HeldReason(StrEnum):
    """
    Why a resource is in the table.
    """

    MISSING = "MISSING"  # a snapshot lacked it
    UNUSABLE = "UNUSABLE"  # this version of the service cannot use it
    RETURNED = "RETURNED"  # it is no longer held, and has missed events


async def record(db: AsyncConnection, held: Collection[str], reason: HeldReason) -> None:
    """
    Record that resources are held from now on. One that is held already keeps its times.
    """
    columns, listed = held_resources.c, sorted(held)
    for start in range(0, len(listed), _ROWS_AT_ONCE):
        rows = [{"name": name} for name in listed[start : start + _ROWS_AT_ONCE]]
        now = database_now()
        statement = insert(db.dialect.name, held_resources).values(
            reason=reason.value, hold_time=now, missed_since=now
        )
        returned = columns.reason == HeldReason.RETURNED.value
        times = sa.case((returned, statement.excluded.hold_time), else_=columns.hold_time)
        await db.execute(
            statement.on_conflict_do_update(
                index_elements=[columns.name],
                set_={"reason": statement.excluded.reason, "hold_time": times},
            ),
            rows,
        )


async def delete(db: AsyncConnection, resources: Collection[str]) -> None:
    """
    Delete the rows of resources that are deleted or dropped, or have been matched.
    """
    for part in _parts(resources):
        await db.execute(sa.delete(held_resources).where(held_resources.c.name.in_(part)))


async def delete_returned(db: AsyncConnection, subscriptions: Collection[str]) -> None:
    """
    Delete the rows of subscriptions that have returned and are matched, unless they are held
    again.
    """
    columns = held_resources.c
    for part in _parts(subscriptions):
        returned = columns.reason == HeldReason.RETURNED.value
        await db.execute(sa.delete(held_resources).where(columns.name.in_(part), returned))


async def record_unusable(db: AsyncConnection, revisions: Mapping[str, int]) -> None:
    """
    Record that subscriptions cannot be used in *revisions*, and report it.
    """
    await record(db, revisions, HeldReason.UNUSABLE)
    await _report(db, revisions, EndpointEvent.KIND_ERROR)


async def end(db: AsyncConnection, revisions: Mapping[str, int]) -> None:
    """
    Record that subscriptions, if they are held, have returned; report it of those that could
    not be used before.
    """
    columns = held_resources.c
    found: dict[str, str] = {}
    for part in _parts(revisions):
        query = sa.select(columns.name, columns.reason).where(columns.name.in_(part))
        found |= {row.name: row.reason for row in await db.execute(query)}
    for part in _parts(found):
        returned = sa.update(held_resources).values(reason=HeldReason.RETURNED.value)
        await db.execute(returned.where(columns.name.in_(part)))
    unusable = {
        name: revisions[name]
        for name, reason in found.items()
        if reason == HeldReason.UNUSABLE.value
    }
    await _report(db, unusable, EndpointEvent.KIND_RECOVERED)


async def _report(
    db: AsyncConnection, revisions: Mapping[str, int], kind: EndpointEvent.Kind.ValueType
) -> None:
    """
    Report whether revisions of subscriptions can be used. Other processes report the same.
    """
    if not revisions:
        return
    now: datetime = (await db.execute(sa.select(database_now()))).scalar_one()
    found = []
    for name, revision in sorted(revisions.items()):
        text = f"{EndpointEvent.Kind.Name(kind)} {name} {revision}"
        report = EndpointEvent(
            endpoint_event_id=hashlib.sha256(text.encode()).hexdigest()[:32],
            subscription=name,
            subscription_revision=revision,
            kind=kind,
            failure_kind=FAILURE_KIND_UNUSABLE
            if kind == EndpointEvent.KIND_ERROR
            else FAILURE_KIND_UNSPECIFIED,
        )
        report.occur_time.FromDatetime(now)
        found.append((names.owner_of(name), report))
    await reports.put_reports(db, found)


async def held_now(db: AsyncConnection) -> dict[str, HeldReason]:
    """
    Return the names of the resources that are held, with the reasons.
    """
    columns = held_resources.c
    query = sa.select(columns.name, columns.reason)
    rows = await db.execute(query.where(columns.reason != HeldReason.RETURNED.value))
    return {row.name: HeldReason(row.reason) for row in rows}


async def missed(db: AsyncConnection) -> Mapping[str, datetime]:
    """
    Return the names of what has returned, each with the time of the own database since when it
    was matched with no event.
    """
    columns = held_resources.c
    query = sa.select(columns.name, columns.missed_since)
    rows = await db.execute(query.where(columns.reason == HeldReason.RETURNED.value))
    return {row.name: row.missed_since for row in rows}


async def missing_for(db: AsyncConnection, hold: timedelta) -> list[str]:
    """
    Return the names of what has been missing for longer than *hold*.
    """
    columns = held_resources.c
    query = sa.select(columns.name).where(
        columns.reason == HeldReason.MISSING.value, columns.hold_time <= after(-hold)
    )
    return sorted((await db.execute(query)).scalars())


def _parts(resources: Iterable[str]) -> list[list[str]]:
    listed = sorted(resources)
    return [listed[start : start + _ROWS_AT_ONCE] for start in range(0, len(listed), _ROWS_AT_ONCE)]
