"""
One poll of the log for all watches of a process: it finds the owners that have new attempts, and
only their watches read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING

import sqlalchemy as sa

from dispatch_service.log.watches.watch import horizon
from dispatch_service.storage.schema import attempts
from service_runtime.database.engine import reading
from service_runtime.observability.tasks import start_watched
from service_runtime.rpc import names
from service_runtime.rpc.shielded import shielded

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

POLL_SECONDS = 0.5
"""
How often the log is looked at while there are watches.
"""


class Watcher:
    """
    A watch of *owner*, made by `WatchPoll.joined`; it may be `accounts/-` or `warehouses/-`.

    *before* is the instant up to which the order is final. *unread* tells whether the owner may
    have attempts before it that the watch has not read; the watch clears it when it reads.
    """

    def __init__(self, owner: str, before: datetime | None) -> None:
        self.owner = owner
        self.before = before
        self.unread = True
        self._error: Exception | None = None
        self._looked = asyncio.Event()

    async def first(self) -> datetime:
        """
        Return *before*; wait for it if the log was not looked at yet. Raises what that raised.
        """
        if self.before is None or self._error is not None:
            return await self.next()
        return self.before

    async def next(self) -> datetime:
        """
        Wait until the log was looked at again. Raises what that raised.
        """
        await self._looked.wait()
        self._looked.clear()
        return self.final()

    def final(self) -> datetime:
        """
        Return *before*, which is known. Raises what looking at the log raised.
        """
        if self._error is not None or self.before is None:
            raise self._error or RuntimeError("the log was not looked at yet")
        return self.before

    def is_of(self, owners: Collection[str]) -> bool:
        """
        Tell whether one of *owners* is watched.
        """
        if names.is_wildcard(self.owner):
            kind = self.owner.removesuffix("-")
            return any(it.startswith(kind) for it in owners)
        return self.owner in owners

    def looked(self, before: datetime, *, unread: bool) -> None:
        """
        Take what a look at the log has found.
        """
        self.before = before
        self.unread = self.unread or unread
        self._looked.set()

    def failed(self, error: Exception) -> None:
        """
        Take the error of a look.
        """
        self._error = error
        self._looked.set()


class WatchPoll:
    """
    Looks at the log every `POLL_SECONDS` while there are watchers.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._watchers: set[Watcher] = set()
        self._before: datetime | None = None
        self._task: asyncio.Task[None] | None = None

    @contextmanager
    def joined(self, owner: str) -> Iterator[Watcher]:
        """
        Take part while the block runs.
        """
        watcher = Watcher(owner, self._before)
        self._watchers.add(watcher)
        if self._task is None:
            self._task = start_watched(self._run(), "watches")
        try:
            yield watcher
        finally:
            self._watchers.discard(watcher)
            if not self._watchers:
                self._rest()

    def _rest(self) -> None:
        """
        Look no more. A look that is under way ends by itself.
        """
        if self._task is not None:
            self._task.cancel()
        self._task = self._before = None

    async def _run(self) -> None:
        while True:
            await shielded(self._look())
            await asyncio.sleep(POLL_SECONDS)

    async def _look(self) -> None:
        """
        Look once, and tell all watchers. One that joined meanwhile was not looked for.
        """
        watchers = set(self._watchers)
        try:
            before = await horizon(self._engine)
            found = await self._owners_with_attempts(before)
        except Exception as error:  # noqa: BLE001 - each watch ends with it
            for watcher in self._watchers:
                watcher.failed(error)
            return
        self._before = before
        for watcher in self._watchers:
            asked = watcher in watchers and found is not None
            watcher.looked(before, unread=not asked or watcher.is_of(found or ()))

    async def _owners_with_attempts(self, before: datetime) -> set[str] | None:
        """
        Return the owners that have attempts since the last look; None if this is the first.
        """
        if self._before is None:
            return None
        settled = attempts.c.settle_time
        query = sa.select(attempts.c.owner).distinct()
        query = query.where(settled >= self._before, settled < before)
        async with reading(self._engine) as db:
            return set((await db.execute(query)).scalars())
