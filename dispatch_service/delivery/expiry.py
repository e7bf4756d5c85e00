"""
Ends the deliveries that wait for endpoints with open breakers and need no request, in batches: so
none of them is claimed as a probe.

These are deliveries whose receiver has used up their time, those whose subscription has been
Inactive until they expired, and all that has waited too long for a dead endpoint: its failed
probes stand as their attempt. Endpoints that are not open need no such help: a claim ends what
has expired.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

import sqlalchemy as sa
import structlog

from dispatch_service.delivery.breakers import DEAD_AFTER, PROBES_TO_BE_DEAD
from dispatch_service.domain.clock_watch import ClockWatch
from dispatch_service.domain.outcomes import FailureKind
from dispatch_service.domain.transitions import State, WaitReason
from dispatch_service.domain.work import EndpointKey
from dispatch_service.queue import sequences, waiting_moves
from dispatch_service.queue.dialects import clause
from dispatch_service.queue.expire_times import USED_UP
from dispatch_service.queue.lock_order import by_key
from dispatch_service.queue.observability.measures import count_end, log_failed
from dispatch_service.routing.index import SubscriptionIndex
from dispatch_service.storage.schema import deliveries, endpoint_states
from service_runtime.database.conflicts import retry_on_conflict
from service_runtime.database.engine import reading, writing
from service_runtime.database.instants import after, database_now
from service_runtime.process.failures import FailureLog

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

INTERVAL_SECONDS = 5.0
BATCH = 500
"""
How many deliveries one transaction ends.
"""

TURN = 10_000
"""
How many deliveries of an endpoint are ended before the next endpoint has its turn.
"""

SHARE = 0.01
"""
The share of its time that the database may be asked for what has expired at one endpoint.
"""

PAUSE_SECONDS = 0.01
"""
How long results and claims have the database to themselves between two batches.
"""

log = structlog.get_logger()


class Cause(StrEnum):
    """
    Why a delivery ends without a request.
    """

    INACTIVE = "inactive"
    USED_UP = "used_up"
    DEAD = "dead"


class OpenEndpoint(NamedTuple):
    """
    An endpoint with an open breaker, and what the last probe has failed with.
    """

    owner: str
    endpoint: str
    failure_kind: str | None
    response_code: int | None
    dead: bool

    @property
    def key(self) -> EndpointKey:
        """
        The key of the endpoint.
        """
        return self.owner, self.endpoint


class Expirer:
    """
    Ends such deliveries. Several processes may do so at a time.

    *became_due* is called when deliveries became due that waited behind others.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        subscriptions: SubscriptionIndex,
        became_due: Callable[[], None],
        clock: ClockWatch | None = None,
    ) -> None:
        self._engine = engine
        self._subscriptions = subscriptions
        self._became_due = became_due
        self._clock = clock or ClockWatch()
        self._next_look: dict[EndpointKey, float] = {}
        self._failures = FailureLog("delivery.expiry_failed")

    async def run_once(self) -> int:
        """
        Give every endpoint with an open breaker a turn; return how many deliveries were ended.
        """
        asked = time.monotonic()
        async with reading(self._engine) as db:
            found = await _open_endpoints(db)
            shown = (await db.execute(sa.select(database_now()))).scalar_one()
        now = time.monotonic()
        if self._clock.step(shown, asked, now):
            return 0  # it says nothing about what has expired until times are adjusted to it
        self._next_look = {key: at for key, at in self._next_look.items() if at > now}
        total = 0
        for it in found:
            if it.key not in self._next_look:
                with self._failures.isolated(owner=it.owner, endpoint=it.endpoint):
                    total += await self._turn(it)
        return total

    async def _turn(self, endpoint: OpenEndpoint) -> int:
        """
        End deliveries of an endpoint until none is left, or its turn is over.
        """
        ended = 0
        while ended < TURN:
            started = time.monotonic()
            ids = await self._find(endpoint)
            if not ids:
                seconds = time.monotonic() - started
                self._next_look[endpoint.key] = started + seconds / SHARE
                break
            count = await self._end(endpoint, ids)
            if not count:
                break  # others hold them
            ended += count
            await asyncio.sleep(PAUSE_SECONDS)
        if ended:
            self._became_due()
            log.warning(
                "endpoint.deliveries_ended",
                owner=endpoint.owner,
                endpoint=endpoint.endpoint,
                count=ended,
                dead=endpoint.dead,
            )
        return ended

    async def _find(self, endpoint: OpenEndpoint) -> list[str]:
        """
        Find deliveries that end. What is known here to be Active again is resumed soon.
        """
        columns = deliveries.c
        query = sa.select(columns.delivery_id, columns.subscription, columns.wait_reason)
        async with reading(self._engine) as db:
            rows = (await db.execute(query.where(_ends(endpoint)).limit(BATCH))).all()
        return [
            delivery_id
            for delivery_id, subscription, reason in rows
            if reason != WaitReason.INACTIVE or self._inactive(endpoint.owner, subscription)
        ]

    def _inactive(self, owner: str, subscription: str) -> bool:
        found = self._subscriptions.by_key.get((owner, subscription))
        return found is not None and not found.active

    @retry_on_conflict
    async def _end(self, endpoint: OpenEndpoint, ids: Sequence[str]) -> int:
        """
        End those of the deliveries that are still to be ended and that nobody holds.
        """
        columns = deliveries.c
        mine = sa.and_(columns.owner == endpoint.owner, columns.delivery_id.in_(ids))
        async with writing(self._engine) as db:
            in_order: sa.Select[Any] = sa.select(*_POSITION).where(
                mine, columns.sequence_position.is_not(None)
            )
            await sequences.lock(db, sequences.keys_of((await db.execute(in_order)).all()))
            rows = (await db.execute(_locked(endpoint, mine))).all()
            for cause in Cause:
                ended = [row.delivery_id for row in rows if row.cause == cause]
                if ended:
                    this = sa.and_(columns.owner == endpoint.owner, columns.delivery_id.in_(ended))
                    values = _values(endpoint, cause)
                    await db.execute(sa.update(deliveries).where(this).values(values))
            failed = [row for row in rows if row.cause != Cause.INACTIVE]
            await sequences.advance(db, sequences.keys_of(rows), sequences.keys_of(failed))
        for row in rows:
            state, kind = _STATES[row.cause], _kind(endpoint, row.cause)
            count_end(state, kind)
            if state is State.FAILED:
                log_failed(row.owner, row.delivery_id, kind, endpoint=endpoint.endpoint)
        return len(rows)


_POSITION: tuple[sa.ColumnElement[Any], ...] = (
    deliveries.c.owner,
    deliveries.c.subscription,
    deliveries.c.resource,
    deliveries.c.sequence_position,
)


async def _open_endpoints(db: AsyncConnection) -> list[OpenEndpoint]:
    columns = endpoint_states.c
    dead = sa.and_(
        columns.trips > PROBES_TO_BE_DEAD,
        columns.open_since.is_not(None),
        columns.open_since <= after(-DEAD_AFTER),
    )
    query = sa.select(
        columns.owner, columns.endpoint, columns.failure_kind, columns.response_code, dead
    )
    return [
        OpenEndpoint(owner, endpoint, kind, code, bool(is_dead))
        for owner, endpoint, kind, code, is_dead in await db.execute(query)
    ]


def _cause(endpoint: OpenEndpoint) -> sa.ColumnElement[str | None]:
    """
    Say why a due delivery of an endpoint ends; NULL if it does not.
    """
    columns = deliveries.c
    used_up = clause(USED_UP, {})
    inactive = sa.and_(used_up, columns.wait_reason == WaitReason.INACTIVE)
    causes = [(inactive, Cause.INACTIVE.value), (used_up, Cause.USED_UP.value)]
    if endpoint.dead:
        suspended = (WaitReason.INACTIVE, WaitReason.HELD)
        waits = sa.func.coalesce(columns.wait_reason, "").not_in(suspended)
        too_long = columns.expire_time <= after(-DEAD_AFTER)
        causes.append((sa.and_(waits, too_long), Cause.DEAD.value))
    return sa.case(*causes)


def _ends(endpoint: OpenEndpoint) -> sa.ColumnElement[bool]:
    """
    Select the deliveries of an endpoint that end, by their index.
    """
    columns = deliveries.c
    return sa.and_(
        columns.owner == endpoint.owner,
        columns.endpoint == endpoint.endpoint,
        columns.due_time <= database_now(),
        columns.lease_owner.is_(None),
        columns.end_time.is_(None),
        _cause(endpoint).is_not(None),
    )


def _locked(endpoint: OpenEndpoint, mine: sa.ColumnElement[bool]) -> sa.Select[Any]:
    query = sa.select(*_POSITION, deliveries.c.delivery_id, _cause(endpoint).label("cause"))
    found = query.where(mine, _ends(endpoint)).order_by(*by_key(deliveries))
    return found.with_for_update(skip_locked=True)


def _values(endpoint: OpenEndpoint, cause: Cause) -> dict[str, Any]:
    kind = _kind(endpoint, cause)
    if cause is Cause.INACTIVE:
        return waiting_moves.CANCEL_DELETED.values(failure_kind=kind)
    return waiting_moves.EXPIRE.values(failure_kind=kind, response_code=endpoint.response_code)


_STATES = {
    Cause.INACTIVE: State.CANCELLED,
    Cause.USED_UP: State.FAILED,
    Cause.DEAD: State.FAILED,
}


def _kind(endpoint: OpenEndpoint, cause: Cause) -> str:
    if cause is Cause.INACTIVE:
        return FailureKind.SUBSCRIPTION_INACTIVE.value
    kind = endpoint.failure_kind if cause is Cause.DEAD else None
    return kind or FailureKind.EXPIRED.value
