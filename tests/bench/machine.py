"""
What figures depend on beside the code.
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
    Describe what the figures depend on.
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
    Return how long a core was taken away at most from a loop that does nothing but look at
    the clock: on a quiet machine well below a millisecond. What is more lies under all latencies.
    """
    longest, last = 0, time.perf_counter_ns()
    end = last + round(seconds * 1e9)
    while last < end:
        now = time.perf_counter_ns()
        longest, last = max(longest, now - last), now
    return longest / 1e6
