"""
Splits a batch that is refused until each item that cannot be written stands alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


class Bisection(Generic[T]):
    """
    The parts of a batch that are tried one after the other, in the order of its items.

    Iterate over it: the first part is the whole batch. After `split` of a part its halves
    come next, so *n* bad items among *m* cost at most about 2 n log2(m) more tries.
    """

    def __init__(self, batch: Sequence[T]) -> None:
        self._parts = [batch] if batch else []

    def __iter__(self) -> Iterator[Sequence[T]]:
        while self._parts:
            yield self._parts.pop()

    def split(self, part: Sequence[T]) -> bool:
        """
        Try the halves of a refused part next; return False for a single item.
        """
        if len(part) == 1:
            return False
        middle = len(part) // 2
        self._parts += [part[middle:], part[:middle]]
        return True
