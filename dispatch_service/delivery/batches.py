"""
Items that wait to be written, in batches that shrink around what the store refuses.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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

T = TypeVar("T")

log = structlog.get_logger()


class BisectingBatch(Generic[T]):
    """
    A queue of *items* that are written in order, a batch at a time; append new ones to `items`.

    A batch that is refused is halved the next time, until what cannot be written is alone; one
    that is written doubles the next. Committing events bisects a refused group at once, since
    publishers wait for the answer. Here nobody waits and an item must not be lost to an error
    that passes, so the size changes from one try to the next, with pauses of the caller between.
    """

    def __init__(self) -> None:
        self.items: list[T] = []
        self._size = MOST
        self._tries_alone = 0

    @contextmanager
    def next_batch(self) -> Iterator[Sequence[T]]:
        """
        Yield the items to be written next, and remove them if the block does not raise.

        If it raises, the next batch is smaller; an item that was refused alone `TRIES_ALONE`
        times is removed.
        """
        batch = self.items[: self._size]
        try:
            yield batch
        except Exception as error:
            # A store that does not answer says nothing of the items.
            if not is_unavailable(error):
                self._shrink(batch)
            raise
        del self.items[: len(batch)]
        self._size, self._tries_alone = min(self._size * 2, MOST), 0

    def _shrink(self, batch: Sequence[T]) -> None:
        self._size = max(len(batch) // 2, 1)
        if len(batch) > 1:
            return
        self._tries_alone += 1
        if self._tries_alone >= TRIES_ALONE:
            # Its lease runs out: it is claimed again, and fails as poison at the latest.
            log.error("delivery.result_set_aside", kind=type(batch[0]).__name__)
            del self.items[:1]
            self._tries_alone = 0
