"""
The memory that events may take which are not answered.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class MemoryLimit:
    """
    Counts bytes, and lets those wait who would exceed *most_bytes*. What is larger by itself has
    its turn when nothing else is there.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._used = 0
        self._changed = threading.Condition()
        self._callbacks: list[Callable[[], None]] = []

    @property
    def used(self) -> int:
        """
        Return how many bytes are taken.
        """
        return self._used

    def take(self, size: int, timeout: float | None) -> bool:
        """
        Take *size* bytes, after *timeout* seconds at the latest; without one, wait for ever.
        Return whether they were taken.
        """
        until = None if timeout is None else time.monotonic() + timeout
        with self._changed:
            while not self._fits(size):
                left = None if until is None else until - time.monotonic()
                if left is not None and left <= 0:
                    return False
                self._changed.wait(left)
            self._used += size
        return True

    def release(self, size: int) -> None:
        """
        Return *size* bytes, and wake who waits.
        """
        with self._changed:
            self._used -= size
            callbacks, self._callbacks = self._callbacks, []
            self._changed.notify_all()
        for callback in callbacks:
            callback()

    def on_release(self, size: int, callback: Callable[[], None]) -> None:
        """
        Call *callback* once, as soon as *size* bytes may fit, in any thread.
        """
        with self._changed:
            fits = self._fits(size)
            if not fits:
                self._callbacks.append(callback)
        if fits:
            callback()

    def _fits(self, size: int) -> bool:
        return not self._used or self._used + size <= self._most_bytes
