"""
Properties of the machine that figures depend on.
"""

from __future__ import annotations

import os
import platform
import sysconfig
import time
from typing import Any

STALL_SECONDS = 2.0


def machine() -> dict[str, Any]:
    """
    Describe interpreter, cores, durability and transport.
    """
    flags = sysconfig.get_config_var("CONFIG_ARGS") or ""
    return {
        "python": platform.python_version(),
        "optimised_build": "--enable-optimizations" in flags,
        "build": " ".join(platform.python_build()),
        "compiler": platform.python_compiler(),
        "cores": os.cpu_count(),
        "durability": "PostgreSQL fsync and synchronous_commit on; SQLite WAL, synchronous FULL",
        "transport": "HTTPS, kept alive",
    }


def longest_stall_ms(seconds: float = STALL_SECONDS) -> float:
    """
    Return the longest time without the CPU, while a loop reads the clock for *seconds*.

    On an idle machine it is well below a millisecond. No latency can be better than that.
    """
    longest, last = 0, time.perf_counter_ns()
    end = last + round(seconds * 1e9)
    while last < end:
        now = time.perf_counter_ns()
        longest, last = max(longest, now - last), now
    return longest / 1e6
