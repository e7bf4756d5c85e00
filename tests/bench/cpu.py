"""
CPU time and memory of processes, read from the kernel.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

_TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def cpu_seconds(pid: int) -> float:
    """
    Return the CPU time of a process, its children and those of them that have ended.
    """
    return sum(_ticks(it) for it in tree(pid)) * _TICK_SECONDS


def memory_mb(pid: int) -> float:
    """
    Return the resident memory of a process and its children, in MiB.
    """
    pages = sum(int(Path(f"/proc/{it}/statm").read_text().split()[1]) for it in tree(pid))
    return pages * _PAGE_BYTES / 1024 / 1024


def tree(pid: int) -> Iterator[int]:
    """
    Yield a process and all that descend from it.
    """
    yield pid
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            yield from tree(int(child))


def _ticks(pid: int) -> int:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return 0
    return sum(map(int, fields[11:15]))
