"""
The order of tests on several processes of pytest-xdist: those that may take longest begin first,
on all processes, so that no process ends long after the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar("Item")


def spread(long: Sequence[Item], short: Sequence[Item], processes: int) -> list[Item]:
    """
    Return all items so that each of *processes* equal parts begins with its share of the *long*
    ones: at first each process gets a part (`--dist worksteal`).
    """
    left, total, ordered = list(short), len(long) + len(short), list[Item]()
    for number in range(processes):
        size = (total - len(ordered)) // (processes - number)
        first = list(long[number::processes])
        rest = max(size - len(first), 0)
        ordered += first + left[:rest]
        del left[:rest]
    return ordered + left
