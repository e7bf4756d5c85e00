"""
Publishes what is in the outbox.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Mapping, Sequence
from uuid import uuid4

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from shipedge.webhooks.client.async_publisher import AsyncPublisher
from shipedge.webhooks.client.errors import ApiError
from shipedge.webhooks.dispatch.v1 import publisher_service_pb2 as pb
from shipedge.webhooks.events.v1 import event_pb2
from shipedge.webhooks.outbox.table import events, leases

BATCH_EVENTS = 500
LEASE_SECONDS = 30.0

_logger = logging.getLogger("shipedge.webhooks.outbox")

# Others are those of the caller or of the call, and pass.
_FAULTS_OF_EVENTS = frozenset({"INVALID_ARGUMENT", "ALREADY_EXISTS", "PERMISSION_DENIED"})

Answer = pb.AcceptedEvent | BaseException


class OutboxRelay:
    """
    Publishes committed events, and deletes those that were accepted. Several relays may run at
    once, in any processes: they share the partitions by leases.

    A relay that dies, or is so slow that its lease ends, costs nothing: another one publishes the
    same events under the same ids, beginning with the first that is still there.
    """

    def __init__(
        self, engine: AsyncEngine, publisher: AsyncPublisher, *, poll_seconds: float = 0.2
    ) -> None:
        self._engine = engine
        self._publisher = publisher
        self._poll_seconds = poll_seconds
        self._holder = uuid4().hex

    async def run(self) -> None:
        """
        Publish until cancelled; while the database cannot be used, log that and go on.
        """
        while True:
            try:
                settled = await self.run_once()
            except (DBAPIError, OSError) as error:
                # Without the statement: it contains events.
                _logger.warning("the outbox cannot be read or written: %s", type(error).__name__)
                settled = 0
            if not settled:
                await asyncio.sleep(self._poll_seconds)

    async def run_once(self) -> int:
        """
        Publish the next events of each partition that no other relay works on; return how many
        were accepted or refused for good.
        """
        settled = 0
        for partition in await self._partitions():
            if await self._claim(partition):
                try:
                    settled += await self._publish(partition)
                finally:
                    await self._release(partition)
        return settled

    async def _partitions(self) -> Sequence[int]:
        """
        Return the partitions that have events, in any order, so that relays rarely meet.
        """
        waiting = sa.select(events.c.partition).where(events.c.error.is_(None)).distinct()
        async with self._engine.connect() as db:
            found = list((await db.execute(waiting)).scalars())
        return random.sample(found, len(found))

    async def _claim(self, partition: int) -> bool:
        now = time.time()
        mine = {"holder": self._holder, "expire_time": now + LEASE_SECONDS}
        free = leases.c.partition == partition, leases.c.expire_time < now
        try:
            async with self._engine.begin() as db:
                if (await db.execute(leases.update().where(*free).values(mine))).rowcount:
                    return True
                known = sa.select(leases.c.partition).where(leases.c.partition == partition)
                if (await db.execute(known)).first():
                    return False
                await db.execute(leases.insert().values(partition=partition, **mine))
        except IntegrityError:
            # Another relay was the first one.
            return False
        return True

    async def _release(self, partition: int) -> None:
        mine = leases.c.partition == partition, leases.c.holder == self._holder
        async with self._engine.begin() as db:
            await db.execute(leases.update().where(*mine).values(expire_time=0.0))

    async def _publish(self, partition: int) -> int:
        next_events = (
            sa.select(events.c.id, events.c.content)
            .where(events.c.partition == partition, events.c.error.is_(None))
            .order_by(events.c.id)
            .limit(BATCH_EVENTS)
        )
        async with self._engine.connect() as db:
            rows = (await db.execute(next_events)).all()
        futures = [
            await self._publisher.publish(event_pb2.Event.FromString(row.content)) for row in rows
        ]
        answers = await asyncio.gather(*futures, return_exceptions=True)
        return await self._settle(dict(zip([row.id for row in rows], answers, strict=True)))

    async def _settle(self, answers: Mapping[int, Answer]) -> int:
        """
        Delete the accepted events and keep the refused ones with their errors; return how many
        there were. An event without an answer stays as it is.
        """
        accepted = [it for it, answer in answers.items() if isinstance(answer, pb.AcceptedEvent)]
        refused = {
            it: answer
            for it, answer in answers.items()
            if isinstance(answer, ApiError) and answer.code in _FAULTS_OF_EVENTS
        }
        async with self._engine.begin() as db:
            if accepted:
                await db.execute(events.delete().where(events.c.id.in_(accepted)))
            for number, error in refused.items():
                row = events.update().where(events.c.id == number)
                await db.execute(row.values(error=str(error)))
        return len(accepted) + len(refused)
