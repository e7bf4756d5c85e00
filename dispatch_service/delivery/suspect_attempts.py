"""
The attempts of suspects in the database: each is stored before its request leaves, and deleted
when its result is written. What is left of a dead process tells what it died of.

A process that dies in its control time, in which it attempts no suspect, died of something else:
then the death before it may have had the same cause, and the last suspect is cleared of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import sqlalchemy as sa
import structlog

from dispatch_service.delivery.replicas import ALIVE_FOR
from dispatch_service.domain.work import Claimed
from dispatch_service.queue.claimed import delivery_hex
from dispatch_service.storage.schema import control_times, dispatchers, suspect_attempts
from service_runtime.database.engine import writing
from service_runtime.database.inserts import insert
from service_runtime.database.instants import after, database_now
from service_runtime.database.row_values import in_keys
from service_runtime.rpc import names

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

DeliveryKey = tuple[str, str]
"""
An owner and the id of a delivery of it.
"""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ControlTime:
    """
    A process that is in its control time, or has died in it.
    """

    process: str
    start_time: datetime


@dataclass(frozen=True, slots=True)
class SuspectAttempt:
    """
    An attempt of a suspect that is on the wire, or that its *process* has died in.
    """

    key: DeliveryKey
    number: int
    process: str
    start_time: datetime


@dataclass(frozen=True, slots=True)
class Deaths:
    """
    How many processes have died of each of some suspects, in their order. They are not *final*
    while another process is in its control time.
    """

    counts: Sequence[int]
    final: bool


def last_suspect(
    died: ControlTime, attempts: Iterable[SuspectAttempt], alive: Collection[str]
) -> DeliveryKey | None:
    """
    Return the suspect whose death was the last before a process died in its control time, of
    those on the same host if there are any.
    """
    before = [it for it in attempts if it.start_time <= died.start_time and it.process not in alive]
    here = [it for it in before if _host(it.process) == _host(died.process)]
    last = max(here or before, key=lambda it: it.start_time, default=None)
    return None if last is None else last.key


def count_deaths(claimed: Claimed, attempts: Iterable[SuspectAttempt]) -> int:
    """
    Count the attempts of a suspect's present row of interruptions in which a process has died.
    """
    numbers = range(claimed.number - claimed.interrupted, claimed.number)
    key = (claimed.owner, claimed.delivery_id)
    return sum(it.key == key and it.number in numbers for it in attempts)


def _host(process: str) -> str:
    # The name of a process ends in two parts of its own.
    return process.rsplit("-", 2)[0]


class SuspectAttempts:
    """
    The tables of one process, by its name.
    """

    def __init__(self, engine: AsyncEngine, process: str) -> None:
        self._engine = engine
        self._process = process

    async def begin_control(self) -> None:
        """
        Store that the control time of this process begins.
        """
        row = {"process": self._process, "start_time": database_now()}
        async with writing(self._engine) as db:
            await db.execute(sa.insert(control_times).values(row))

    async def end_control(self) -> None:
        """
        Store that the process has survived its control time, or ends in it as it should.
        """
        async with writing(self._engine) as db:
            await db.execute(
                sa.delete(control_times).where(control_times.c.process == self._process)
            )

    async def begin(self, claimed: Claimed) -> None:
        """
        Store that a suspect is on the wire.
        """
        made = {"process": self._process, "start_time": database_now()}
        key = {"owner": claimed.owner, "delivery_id": claimed.delivery_id, "number": claimed.number}
        async with writing(self._engine) as db:
            statement = insert(db.dialect.name, suspect_attempts).values(key | made)
            await db.execute(
                statement.on_conflict_do_update(
                    index_elements=list(suspect_attempts.primary_key.columns), set_=made
                )
            )

    async def end(self, claimed: Claimed) -> None:
        """
        Forget the present attempt of a suspect: the process has survived it.
        """
        mine = sa.and_(_of([_key(claimed)]), suspect_attempts.c.number == claimed.number)
        async with writing(self._engine) as db:
            await db.execute(sa.delete(suspect_attempts).where(mine))

    async def forget(self, claimed: Claimed) -> None:
        """
        Forget all attempts of a suspect, since it has a result.
        """
        async with writing(self._engine) as db:
            await db.execute(sa.delete(suspect_attempts).where(_of([_key(claimed)])))

    async def deaths(self, suspects: Sequence[Claimed]) -> Deaths:
        """
        Count the deaths of suspects that are leased and not on the wire.
        """
        async with writing(self._engine) as db:
            await self._clear(db)
            others = sa.select(sa.func.count()).where(control_times.c.process != self._process)
            final = (await db.execute(others)).scalar_one() == 0
            found = await _read(db, _of([_key(it) for it in suspects]))
        return Deaths([count_deaths(it, found) for it in suspects], final)

    async def _clear(self, db: AsyncConnection) -> None:
        """
        Clear the suspects that the deaths of processes in their control time speak for.
        """
        alive = await self._alive(db)
        for died in await _take_controls(db, alive):
            await _clear_last(db, died, alive)

    async def _alive(self, db: AsyncConnection) -> set[str]:
        """
        Return the names of the processes that may be alive: on SQLite there is no other.
        """
        if db.dialect.name == "sqlite":
            return {self._process}
        beating = sa.select(dispatchers.c.name).where(
            dispatchers.c.heartbeat_time > after(-ALIVE_FOR)
        )
        return {self._process, *(await db.execute(beating)).scalars()}


def _key(claimed: Claimed) -> DeliveryKey:
    return (claimed.owner, claimed.delivery_id)


def _of(keys: Sequence[DeliveryKey]) -> sa.ColumnElement[bool]:
    return in_keys([suspect_attempts.c.owner, suspect_attempts.c.delivery_id], keys)


async def _read(db: AsyncConnection, wanted: sa.ColumnElement[bool]) -> list[SuspectAttempt]:
    rows = await db.execute(sa.select(suspect_attempts).where(wanted))
    return [
        SuspectAttempt(
            (row.owner, delivery_hex(row.delivery_id)), row.number, row.process, row.start_time
        )
        for row in rows
    ]


async def _take_controls(db: AsyncConnection, alive: Collection[str]) -> list[ControlTime]:
    """
    Delete the control times in which processes have died, and return them in their order.
    """
    dead = sa.delete(control_times).where(control_times.c.process.not_in(alive))
    rows = await db.execute(dead.returning(control_times.c.process, control_times.c.start_time))
    died = [ControlTime(row.process, row.start_time) for row in rows]
    return sorted(died, key=lambda it: it.start_time)


async def _clear_last(db: AsyncConnection, died: ControlTime, alive: Collection[str]) -> None:
    attempts = await _read(db, suspect_attempts.c.start_time <= died.start_time)
    key = last_suspect(died, attempts, alive)
    if key is not None:
        await db.execute(sa.delete(suspect_attempts).where(_of([key])))
        log.info("delivery.suspect_cleared", owner=key[0], delivery=names.DELIVERY_PREFIX + key[1])
