"""
Items that wait to be written, in batches that shrink around what the store refuses, and batches
that are being written.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Generic, TypeVar

import structlog

from service_runtime.database.faults import is_unavailable

MOST = 500
"""
The largest batch.
"""

TRIES_ALONE = 5
"""
So often an item is tried by itself, for errors that pass such as a deadlock, before it is set
aside so that all others are written.
"""

LONG_SECONDS = 0.25
LEAST = 50
"""
Batches get no smaller than this because they take long.
"""

AGAIN_SECONDS = 5.0
"""
How often items are tried again that were set aside.
"""

T = TypeVar("T")

log = structlog.get_logger()


class BisectingBatch(Generic[T]):
    """
    A queue of *items* that are written in order, a batch at a time; append new ones to `items`.

    A batch that is refused is halved the next time, until what cannot be written is alone; one
    that is written doubles the next. Committing events bisects a refused group at once, since
    publishers wait for the answer. Here nobody waits and an item must not be lost to an error
    that passes, so the size changes from one try to the next, with pauses of the caller between.
    A batch that took longer than `LONG_SECONDS` is halved too: publishers wait for it where the
    store has one writer.

    *set_aside* is called with an item that was refused too often.
    """

    def __init__(self, set_aside: Callable[[T], None]) -> None:
        self.items: list[T] = []
        self._set_aside = set_aside
        self._size = MOST
        self._tries_alone = 0

    @contextmanager
    def next_batch(self) -> Iterator[Sequence[T]]:
        """
        Yield the items to be written next, and remove them if the block does not raise.

        If it raises, the next batch is smaller; an item that was refused alone `TRIES_ALONE`
        times is removed.
        """
        batch, began = self.items[: self._size], time.monotonic()
        try:
            yield batch
        except Exception as error:
            # A store that does not answer says nothing of the items.
            if not is_unavailable(error):
                self._shrink(batch)
            raise
        del self.items[: len(batch)]
        long = time.monotonic() - began > LONG_SECONDS
        self._size = max(len(batch) // 2, LEAST) if long else min(self._size * 2, MOST)
        self._tries_alone = 0

    def _shrink(self, batch: Sequence[T]) -> None:
        self._size = max(len(batch) // 2, 1)
        if len(batch) > 1:
            return
        self._tries_alone += 1
        if self._tries_alone >= TRIES_ALONE:
            log.error("delivery.result_set_aside", kind=type(batch[0]).__name__)
            self._set_aside(self.items.pop(0))
            self._tries_alone = 0


class ItemsSetAside(Generic[T]):
    """
    Items that the store refused one by one, and that are tried again from time to time, each by
    itself. *wake* is called when it is time, and `is_due` is set.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self.is_due = False
        self._wake = wake
        self._items: deque[T] = deque()

    def __len__(self) -> int:
        return len(self._items)

    def add(self, item: T) -> None:
        """
        Keep an item.
        """
        self._items.append(item)
        self._set_timer()

    def take_all(self) -> Sequence[T]:
        """
        Take out all items.
        """
        taken = list(self._items)
        self._items.clear()
        return taken

    async def write(self, write: Callable[[Sequence[T]], Awaitable[None]]) -> None:
        """
        Write one item after the other, until one is refused again: that one is the last next
        time. Raises what *write* raises.
        """
        self.is_due = False
        while self._items:
            try:
                await write([self._items[0]])
            except Exception:
                self._items.rotate(-1)
                self._set_timer()
                raise
            self._items.popleft()

    def _set_timer(self) -> None:
        asyncio.get_running_loop().call_later(AGAIN_SECONDS, self._due)

    def _due(self) -> None:
        self.is_due = True
        self._wake()


class _Work:
    """
    A block that is among *running*. One for each commit, so what is seldom waited for is made
    only then.
    """

    __slots__ = ("_ended", "_running")

    def __init__(self, running: set[_Work]) -> None:
        self._running = running
        self._ended: asyncio.Event | None = None

    def __enter__(self) -> None:
        self._running.add(self)

    def __exit__(self, *_error: object) -> None:
        self._running.remove(self)
        if self._ended is not None:
            self._ended.set()

    async def ended(self) -> None:
        """
        Wait until the block has ended.
        """
        if self in self._running:
            self._ended = self._ended or asyncio.Event()
            await self._ended.wait()


class InFlight:
    """
    Waits for what is in flight, but not for what begins meanwhile.
    """

    def __init__(self) -> None:
        self._running: set[_Work] = set()

    def work(self) -> _Work:
        """
        Return a block that is in flight while it runs.
        """
        return _Work(self._running)

    async def ended(self) -> None:
        """
        Wait until all blocks that run now have ended.
        """
        for work in tuple(self._running):
            await work.ended()
