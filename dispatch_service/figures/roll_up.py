"""
Figures from the log: one process at a time, by a lease, counts the attempts that have settled.

Delivering writes nothing more for it. The position moves in the transaction that adds to the
figures, so each attempt is counted once, whichever process dies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import sqlalchemy as sa

from dispatch_service.domain.figures import BUCKET_SQL, Figures, Unit, period_start
from dispatch_service.log.watches import watch
from dispatch_service.storage.schema import attempt_figures, attempts, figure_positions
from service_runtime.database.engine import reading, writing
from service_runtime.database.inserts import insert
from service_runtime.database.instants import Instant, after, database_now
from service_runtime.database.row_values import in_keys
from service_runtime.rpc import names

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

INTERVAL_SECONDS = 20.0
"""
How old figures may be.
"""

LEASE = timedelta(minutes=2)
FIRST_SPAN = timedelta(days=2)
"""
How far back the log is counted when there are no figures yet.
"""

ALL = "-"
"""
What stands for all subscriptions in a row of figures.
"""

LONGEST_STEP = timedelta(minutes=5)
BATCH = 200
"""
How many rows are read and written at a time; between batches deliveries go on.
"""

_KEY = ("owner", "subscription", "unit", "start_time")
_MINUTES = {
    "sqlite": "settle_time - settle_time % 60000000",
    "postgresql": "date_trunc('minute', settle_time)",
}


class FigureKey(NamedTuple):
    """
    The key of a row of figures.
    """

    owner: str
    subscription: str
    unit: str
    start_time: datetime


class FigureWriter:
    """
    Counts settled attempts. *engine* is that of results, by whose transactions it is known which
    attempts may still settle; the other statements use *bulk_engine*.
    """

    def __init__(self, engine: AsyncEngine, bulk_engine: AsyncEngine, name: str) -> None:
        self._engine = engine
        self._bulk_engine = bulk_engine
        self._name = name

    async def run_once(self) -> None:
        """
        Count what has settled until now, unless another process does.
        """
        before = await watch.horizon(self._engine)
        while (since := await self._take_lease()) is not None and since < before:
            until = min(before, since + LONGEST_STEP)
            await self._store(since, until, await self._settled(since, until))

    async def _take_lease(self) -> datetime | None:
        """
        Take or extend the lease; return the position, or None if another process has it.
        """
        first = {
            "figure_position_id": 1,
            "through_time": after(-FIRST_SPAN),
            "lease_owner": self._name,
            "lease_expire_time": after(LEASE),
        }
        mine = figure_positions.c.lease_owner == self._name
        free = figure_positions.c.lease_expire_time < database_now()
        lease = {"lease_owner": self._name, "lease_expire_time": after(LEASE)}
        async with writing(self._bulk_engine) as db:
            statement = insert(db.dialect.name, figure_positions).values(first)
            await db.execute(statement.on_conflict_do_nothing())
            taking = sa.update(figure_positions).where(sa.or_(mine, free)).values(lease)
            found = await db.execute(taking.returning(figure_positions.c.through_time))
            position: datetime | None = found.scalar_one_or_none()
        return position

    async def _settled(self, since: datetime, until: datetime) -> Mapping[FigureKey, Figures]:
        """
        Count the attempts that settled from *since* to before *until*.
        """
        async with reading(self._bulk_engine) as db:
            rows = (await db.execute(_counts(db.dialect.name, since, until))).all()
        found: dict[FigureKey, Figures] = {}
        for row in rows:
            for unit in Unit:
                for owner, subscription in _counted_for(row.owner, row.subscription):
                    key = FigureKey(owner, subscription, unit, period_start(unit, row.minute))
                    figures = found.setdefault(key, Figures())
                    figures.add(row.status, row.attempts, row.last, row.bucket)
        return found

    async def _store(
        self, since: datetime, until: datetime, more: Mapping[FigureKey, Figures]
    ) -> None:
        """
        Add to the figures and move the position, unless another process has moved it.
        """
        # In the order of keys, so that batches of rows are near each other.
        keys = sorted(more)
        here = (figure_positions.c.lease_owner == self._name) & (
            figure_positions.c.through_time == since
        )
        async with writing(self._bulk_engine) as db:
            moving = sa.update(figure_positions).where(here).values(through_time=until)
            if (await db.execute(moving)).rowcount != 1:
                return
            for start in range(0, len(keys), BATCH):
                await _add(db, keys[start : start + BATCH], more)


def _counted_for(owner: str, subscription: str) -> tuple[tuple[str, str], ...]:
    """
    Return whose figures an attempt belongs to: those of its subscription, of all subscriptions of
    its owner, and of all owners of that kind.
    """
    return (owner, subscription), (owner, ALL), (names.all_owners(owner), ALL)


def _counts(dialect: str, since: datetime, until: datetime) -> sa.Select[Any]:
    settled = attempts.c.settle_time
    minute = sa.literal_column(_MINUTES[dialect], Instant()).label("minute")
    bucket = sa.literal_column(BUCKET_SQL, sa.BigInteger()).label("bucket")
    by = (attempts.c.owner, attempts.c.subscription, attempts.c.status, minute, bucket)
    return (
        sa.select(*by, sa.func.count().label("attempts"), sa.func.max(settled).label("last"))
        .where(settled >= since, settled < until)
        .group_by(*by)
    )


async def _add(
    db: AsyncConnection, keys: Sequence[FigureKey], more: Mapping[FigureKey, Figures]
) -> None:
    columns = [attempt_figures.c[name] for name in _KEY]
    query = sa.select(attempt_figures).where(in_keys(columns, [tuple(key) for key in keys]))
    sums = {key: more[key] for key in keys}
    for row in (await db.execute(query)).all():
        key = FigureKey(row.owner, row.subscription, row.unit, row.start_time)
        known = figures_of(row)
        known.merge(sums[key])
        sums[key] = known
    statement = insert(db.dialect.name, attempt_figures)
    new = {it.name: it for it in statement.excluded if it.name not in _KEY}
    # One row a statement: compiling one for many rows takes the event loop a second.
    adding = statement.on_conflict_do_update(index_elements=_KEY, set_=new)
    await db.execute(adding, [key._asdict() | _columns(figures) for key, figures in sums.items()])


def _columns(figures: Figures) -> dict[str, Any]:
    return {
        "success_count": figures.success_count,
        "failure_count": figures.failure_count,
        "interrupted_count": figures.interrupted_count,
        "last_success_time": figures.last_success_time,
        "last_failure_time": figures.last_failure_time,
        "durations": msgspec.json.encode(figures.durations).decode(),
    }


def figures_of(row: Any) -> Figures:
    """
    Return the figures in a row.
    """
    return Figures(
        row.success_count,
        row.failure_count,
        row.interrupted_count,
        row.last_success_time,
        row.last_failure_time,
        msgspec.json.decode(row.durations, type=dict[int, int]),
    )
