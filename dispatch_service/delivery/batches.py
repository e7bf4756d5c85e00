"""
What waits to be written, in batches that shrink around what the store refuses. No I/O.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Generic, TypeVar

import structlog

from service_runtime.database.engine import is_unavailable

MOST = 500
"""
The largest batch.
"""

TRIES_ALONE = 5
"""
So often is one item tried by itself, for what passes by such as a deadlock, before it is put
aside so that all others are written.
"""

T = TypeVar("T")

log = structlog.get_logger()


class Lot(Generic[T]):
    """
    A queue of items that are written in order, a batch at a time.

    A batch that is refused is halved the next time, until what cannot be written stands
    alone; one that is written lets the next be larger again.
    """

    def __init__(self) -> None:
        self._items: list[T] = []
        self._size = MOST
        self._tries_alone = 0

    def __len__(self) -> int:
        return len(self._items)

    def add(self, item: T) -> None:
        """
        Put an item at the end.
        """
        self._items.append(item)

    def batch(self) -> Sequence[T]:
        """
        Return what is written next.
        """
        return self._items[: self._size]

    @contextmanager
    def writing(self, batch: Sequence[T]) -> Iterator[None]:
        """
        Take *batch* out where the block ends well; where it was refused, shrink the next one.
        """
        try:
            yield
        except Exception as error:
            if not is_unavailable(error):
                self._refused(batch)
            raise
        del self._items[: len(batch)]
        self._size, self._tries_alone = min(self._size * 2, MOST), 0

    def _refused(self, batch: Sequence[T]) -> None:
        self._size = max(len(batch) // 2, 1)
        if len(batch) > 1:
            return
        self._tries_alone += 1
        if self._tries_alone >= TRIES_ALONE:
            # Its lease runs out: it is taken up again, and ends as poison at the latest.
            log.error("delivery.result_put_aside", kind=type(batch[0]).__name__)
            del self._items[:1]
            self._tries_alone = 0
