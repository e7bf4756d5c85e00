"""
Waits until the dispatch service has applied a change, before the change is answered.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from config_service.api.feed import ChangeNotifier, wait
from config_service.store.feed import acknowledgements
from config_service.store.feed.acknowledgements import FeedProgress
from service_runtime.observability.tasks import start_awaited
from service_runtime.process.failures import FailureLog

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

LONGEST_SECONDS = 2.0
"""
How long a change waits for its confirmation at most.
"""

CONNECTED_FOR = timedelta(seconds=10)
"""
A reader that acknowledged nothing for so long is not waited for.
"""

LOOK_SECONDS = 0.05
"""
How often the database is asked for readers of other replicas, while a change waits for one, and
the least time between two writes of acknowledgements.
"""


@dataclass(frozen=True, slots=True)
class _Reader:
    """
    What a reader acknowledged on *stream*, and when by the monotonic clock.
    """

    stream: object
    revision: int
    seen: float


class Confirmations:
    """
    Knows what the readers of the feed have applied: of those that are connected to this process
    at once, of others from the database, where `write` stores what was acknowledged here.

    *notifier* wakes the feed. A reader counts as connected for *connected_for* after its last
    acknowledgement. *unwritten* is set when there is something to write.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        notifier: ChangeNotifier,
        connected_for: timedelta = CONNECTED_FOR,
    ) -> None:
        self.unwritten = asyncio.Event()
        self._engine = engine
        self._notifier = notifier
        self._connected_for = connected_for
        self._acknowledged = ChangeNotifier(self.unwritten)
        self._failures = FailureLog("feed.confirmation_failed")
        self._here: dict[str, _Reader] = {}
        # None: the reader has left.
        self._new: dict[str, int | None] = {}
        self._reading = asyncio.Lock()
        self._next_read: asyncio.Task[FeedProgress] | None = None
        self._next_look: asyncio.Task[FeedProgress] | None = None

    def acknowledge(self, stream: object, reader: str, revision: int) -> None:
        """
        Record that *reader* has applied a revision.
        """
        self._here[reader] = _Reader(stream, revision, time.monotonic())
        self._new[reader] = revision
        self._acknowledged.notify()

    def disconnected(self, stream: object, reader: str) -> None:
        """
        Record that *stream* has ended. The reader is still waited for, as long as it counts as
        connected: it may come back, here or at another replica.
        """
        known = self._here.get(reader)
        if known is not None and known.stream is stream:
            del self._here[reader]

    def left(self, stream: object, reader: str) -> None:
        """
        Record that *reader* matches nothing any more, and is not to be waited for.
        """
        known = self._here.get(reader)
        if known is not None and known.stream is stream:
            del self._here[reader]
            self._new[reader] = None
            self._acknowledged.notify()

    async def changed(self) -> int:
        """
        Wake the feed; wait, at most two seconds, until all connected readers have applied what
        is committed. Return how many have not; all that are connected here, where the database
        does not tell.
        """
        self._notifier.notify()
        try:
            return len(await self._unconfirmed())
        except Exception as error:  # noqa: BLE001 - the change is committed, and is answered
            self._failures.log(error)
            return len(self._here)

    async def _unconfirmed(self) -> set[str]:
        give_up = time.monotonic() + LONGEST_SECONDS
        # Taken before the read, so that no acknowledgement falls between it and the wait.
        acknowledged = self._acknowledged.next_change()
        progress = await self._read()
        wanted = progress.newest
        while late := self._late(progress, wanted):
            left = give_up - time.monotonic()
            if left <= 0:
                break
            if late <= self._here.keys():
                await wait(acknowledged, left)
                acknowledged = self._acknowledged.next_change()
            else:
                progress = await self._look()
        return late

    def _late(self, progress: FeedProgress, wanted: int) -> set[str]:
        """
        Return the connected readers that have not applied the revision *wanted*.
        """
        oldest = time.monotonic() - self._connected_for.total_seconds()
        found: dict[str, int | None] = {**progress.readers, **self._new}
        for name, it in self._here.items():
            found[name] = it.revision if it.seen > oldest else None
        return {name for name, it in found.items() if it is not None and it < wanted}

    async def _read(self) -> FeedProgress:
        """
        Read the progress as of now. Calls that come together share a read.
        """
        if self._next_read is None:
            self._next_read = start_awaited(self._read_alone(), "confirmations")
        return await asyncio.shield(self._next_read)

    async def _read_alone(self) -> FeedProgress:
        async with self._reading:
            # What is committed from now on, this read may not see.
            self._next_read = None
            return await acknowledgements.read(self._engine, self._connected_for)

    async def _look(self) -> FeedProgress:
        """
        Read the progress a little later, in one read for all that wait.
        """
        if self._next_look is None:
            self._next_look = start_awaited(self._look_later(), "confirmations later")
        return await asyncio.shield(self._next_look)

    async def _look_later(self) -> FeedProgress:
        await asyncio.sleep(LOOK_SECONDS)
        self._next_look = None
        return await self._read()

    async def write(self) -> None:
        """
        Store what was acknowledged to this process since the last call.
        """
        new, self._new = self._new, {}
        try:
            if new:
                await acknowledgements.write(self._engine, new)
        except BaseException:
            self._new = new | self._new
            raise
        await asyncio.sleep(LOOK_SECONDS)
