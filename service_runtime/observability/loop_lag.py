"""
How late the event loop comes to what is due.
"""

from __future__ import annotations

import asyncio
import time

from service_runtime.observability.metrics import LOOP_LAG

INTERVAL_SECONDS = 0.25


async def watch_loop() -> None:
    """
    Measure the lag until cancelled.
    """
    observe = LOOP_LAG.of().observe
    while True:
        due = time.monotonic() + INTERVAL_SECONDS
        await asyncio.sleep(INTERVAL_SECONDS)
        observe(max(time.monotonic() - due, 0.0))
