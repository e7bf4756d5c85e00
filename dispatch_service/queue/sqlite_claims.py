"""
Claiming on SQLite: from endpoint to endpoint, some rows of each. Where something is due is
found without the lock of writers.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dispatch_service.domain.work import Claimed, EndpointKey, Lease
from dispatch_service.queue import sqlite_sql as sql
from dispatch_service.queue.protocol import START
from dispatch_service.queue.rows import INTERRUPTED_ERROR, claimed_from, micros
from service_runtime.database.instants import from_microseconds

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection


@dataclass(frozen=True, slots=True)
class Walk:
    """
    The endpoints that something is due of, in order, and where the walk ended: `START`
    where no endpoints are left.
    """

    due: Sequence[EndpointKey]
    ended: EndpointKey


async def around(
    db: AsyncConnection, after: EndpointKey, full: Collection[EndpointKey], most: int, limit: int
) -> Walk:
    """
    Look for *limit* endpoints that something is due of, beginning behind *after* and, where
    no endpoints are left, at the first again; but at no more than *most* each time.
    """
    found = await _walk(db, after, full, most, limit)
    if after == START or found.ended != START:
        return found
    again = await _walk(db, START, full, most, limit)
    return Walk(list(dict.fromkeys((*found.due, *again.due))), again.ended)


async def _walk(
    db: AsyncConnection, after: EndpointKey, full: Collection[EndpointKey], most: int, limit: int
) -> Walk:
    # Those that are full are found too, and not taken.
    walk_limit = limit + len(full)
    place = {"owner": after[0], "endpoint": after[1], "most": most, "walk_limit": walk_limit}
    now = (await db.execute(sql.NOW)).scalar_one()
    rows = (await db.execute(sql.WALK, {**place, "now": now})).all()
    due = [(it.owner, it.endpoint) for it in rows if it.is_due]
    goes_on = len(rows) == walk_limit or (rows and rows[-1].steps == most)
    ended = (rows[-1].owner, rows[-1].endpoint) if goes_on else START
    return Walk([it for it in due if it not in full], ended)


async def take(
    db: AsyncConnection, endpoint: EndpointKey, lease: Lease, now: int, limit: int
) -> list[Claimed]:
    """
    Take up to *limit* due deliveries of an endpoint.
    """
    place = {"owner": endpoint[0], "endpoint": endpoint[1], "now": now}
    open_until = (await db.execute(sql.OPEN, place)).scalar_one_or_none()
    if open_until is not None and open_until > now:
        return []
    # After a pause one delivery goes out, as a probe.
    most = limit if open_until is None else 1
    rows = (await db.execute(sql.PICK, {**place, "per_endpoint": most})).mappings().all()
    if not rows:
        return []
    if open_until is not None:
        await db.execute(sql.PROBE, {**place, "lease_us": micros(lease.duration)})
    cut_off = [_interrupted(row, lease, now) for row in rows if row["lease_owner"] is not None]
    if cut_off:
        await db.execute(sql.CUT_OFF, cut_off)
    taken = [_taken(row, lease, now) for row in rows]
    await db.execute(sql.TAKE, taken)
    return [_claimed(row, update) for row, update in zip(rows, taken, strict=True)]


def _interrupted(row: Mapping[Any, Any], lease: Lease, now: int) -> dict[str, Any]:
    return {
        **row,
        "number": row["attempt_count"],
        "attempt_trigger": row["next_trigger"],
        "error": INTERRUPTED_ERROR,
        "start_time": row["due_time"] - micros(lease.duration),
        "now": now,
    }


def _taken(row: Mapping[Any, Any], lease: Lease, now: int) -> dict[str, Any]:
    over = row["lease_owner"] is not None
    return {
        "owner": row["owner"],
        "delivery_id": row["delivery_id"],
        "lease_owner": lease.owner,
        "lease_token": row["lease_token"] + 1,
        "lease_us": micros(lease.duration),
        "now": now,
        "attempt_count": row["attempt_count"] + 1,
        "interrupted": row["interrupted"] + (1 if over else 0),
        "next_trigger": "RETRY" if over else row["next_trigger"],
    }


def _claimed(row: Mapping[Any, Any], update: Mapping[str, Any]) -> Claimed:
    state = row["state"] if row["end_time"] is not None else "DELIVERING"
    after = {**row, **update, "state": state}
    return claimed_from(_Row(after), from_microseconds)


class _Row:
    """
    A mapping that is read by attributes, as rows of the database are.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.__dict__.update(values)
