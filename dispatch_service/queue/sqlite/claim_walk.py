"""
Claiming on SQLite: from endpoint to endpoint, some rows of each. The endpoints with due
deliveries are found without the lock of writers.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from dispatch_service.domain.work import Claimed, EndpointKey, Lease
from dispatch_service.queue.claimed import claimed_from
from dispatch_service.queue.layouts import INTERRUPTED_ERROR
from dispatch_service.queue.protocol import START
from dispatch_service.queue.sqlite import statements as sql
from dispatch_service.queue.sqlite.execution import database_time, execute_many, lease_now
from service_runtime.database.engine import writing
from service_runtime.database.instants import from_microseconds
from service_runtime.observability.dispatch_metrics import LEASES_TAKEN_OVER

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

_JSON = msgspec.json.Encoder()

TAKE_SECONDS = 0.03
"""
After so long a claim lets other writers write before it goes on.
"""


@dataclass(frozen=True, slots=True)
class Full:
    """
    Endpoints of which nothing is taken, and owners.
    """

    endpoints: Collection[EndpointKey] = ()
    owners: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class Walk:
    """
    The endpoints with due deliveries, in order, and where the walk ended: `START` if no
    endpoints are left.
    """

    due: Sequence[EndpointKey]
    ended: EndpointKey


async def around(
    db: AsyncConnection, after: EndpointKey, full: Full, most: int, limit: int
) -> Walk:
    """
    Look for *limit* endpoints with due deliveries, beginning behind *after* and, where no
    endpoints are left, at the first again; but at no more than *most* each time.
    """
    found = await _walk(db, after, full, most, limit)
    if after == START or found.ended != START:
        return found
    again = await _walk(db, START, full, most, limit)
    return Walk(list(dict.fromkeys((*found.due, *again.due))), again.ended)


async def _walk(db: AsyncConnection, after: EndpointKey, full: Full, most: int, limit: int) -> Walk:
    # Those that are full are found too, and not taken.
    walk_limit = limit + len(full.endpoints)
    place = {"owner": after[0], "endpoint": after[1], "most": most, "walk_limit": walk_limit}
    place["full_owners"] = _JSON.encode(list(full.owners)).decode()
    now = await database_time(db)
    rows = (await db.execute(sql.WALK, {**place, "now": now})).all()
    due = [(row.owner, row.endpoint) for row in rows if row.is_due]
    goes_on = len(rows) == walk_limit or (rows and rows[-1].steps == most)
    ended = (rows[-1].owner, rows[-1].endpoint) if goes_on else START
    return Walk([endpoint for endpoint in due if endpoint not in full.endpoints], ended)


@dataclass(frozen=True, slots=True)
class Take:
    """
    How many deliveries are leased at most, in all and of an endpoint; those *held*, as JSON, are
    not.
    """

    limit: int
    per_endpoint: int
    held: str


async def take_all(
    engine: AsyncEngine, due: Sequence[EndpointKey], lease: Lease, wanted: Take
) -> tuple[list[Claimed], EndpointKey | None]:
    """
    Lease due deliveries of endpoints, in transactions that others do not wait long for; return
    them, and the endpoint with which the limit was reached.
    """
    claimed: list[Claimed] = []
    rest = deque(due)
    while rest:
        try:
            last = await _take_some(engine, rest, lease, wanted, claimed)
        except Exception:
            # What is leased already has to be attempted; the next claim meets the error.
            if not claimed:
                raise
            break
        if len(claimed) >= wanted.limit:
            return claimed, last
    return claimed, None


async def _take_some(
    engine: AsyncEngine,
    rest: deque[EndpointKey],
    lease: Lease,
    wanted: Take,
    claimed: list[Claimed],
) -> EndpointKey:
    taken: list[Claimed] = []
    async with writing(engine) as db:
        until = time.monotonic() + TAKE_SECONDS
        leased = await lease_now(db, lease) | {"held": wanted.held}
        while True:
            last = rest.popleft()
            room = wanted.limit - len(claimed) - len(taken)
            taken += await take(db, last, leased, min(wanted.per_endpoint, room))
            if not rest or len(claimed) + len(taken) >= wanted.limit or time.monotonic() >= until:
                break
    claimed += taken
    return last


async def take(
    db: AsyncConnection, endpoint: EndpointKey, leased: Mapping[str, Any], limit: int
) -> list[Claimed]:
    """
    Lease up to *limit* due deliveries of an endpoint, as `lease_now` says.
    """
    place = {"owner": endpoint[0], "endpoint": endpoint[1], **leased}
    open_until = (await db.execute(sql.OPEN, place)).scalar_one_or_none()
    if open_until is not None and open_until > leased["now"]:
        return []
    # After a pause one delivery that needs a request goes out, as a probe.
    probes = open_until is not None
    picked = {**place, "per_endpoint": 1 if probes else limit, "probes": probes}
    rows = (await db.execute(sql.PICK, picked)).all()
    if not rows:
        return []
    if probes:
        await db.execute(sql.PROBE, place)
    interrupted = [row._asdict() for row in rows if row.old_owner is not None]
    LEASES_TAKEN_OVER.add(count=len(interrupted))
    error = {**leased, "interrupted_error": INTERRUPTED_ERROR}
    await execute_many(db, sql.INSERT_INTERRUPTED, [{**row, **error} for row in interrupted])
    taken = [{"owner": row.owner, "delivery_id": row.delivery_id, **leased} for row in rows]
    await execute_many(db, sql.TAKE, taken)
    return [claimed_from(row, from_microseconds, _span) for row in rows]


def _span(micros: int) -> timedelta:
    return timedelta(microseconds=micros)
