"""
CPU time and memory of processes, from `/proc`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def cpu_seconds(pid: int) -> float:
    """
    Return the CPU time of a process and of all its descendants, ended ones included.
    """
    return sum(_ticks(it) for it in tree(pid)) * _TICK_SECONDS


def memory_mb(pid: int) -> float:
    """
    Return the resident memory of a process and its descendants, in MiB.
    """
    pages = sum(_pages(it) for it in tree(pid))
    return pages * _PAGE_BYTES / 1024 / 1024


def tree(pid: int) -> Iterator[int]:
    """
    Yield a process and all its descendants.
    """
    yield pid
    for child in _children(pid):
        yield from tree(child)


def _children(pid: int) -> list[int]:
    found: list[int] = []
    # The process may have ended meanwhile.
    with suppress(FileNotFoundError, ProcessLookupError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += map(int, (task / "children").read_text().split())
    return found


def _pages(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0


def _ticks(pid: int) -> int:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return sum(map(int, fields[11:15]))
