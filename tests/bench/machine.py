"""
What figures depend on beside the code.
"""

from __future__ import annotations

import os
import platform
import sysconfig
from typing import Any


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
