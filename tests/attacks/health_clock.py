"""
How long health checks take, asked from a process of its own: `python -m tests.attacks.health_clock
ADDRESS FOLDER WHO`. It asks until its input ends and prints the longest time in seconds.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

from grpc_health.v1 import health_pb2, health_pb2_grpc

from shipedge.webhooks.client import channel

PAUSE_SECONDS = 0.05
DEADLINE_SECONDS = 10.0


async def slowest(address: str, secrets: Path, who: str) -> float:
    """
    Ask until the input ends.
    """
    files = [secrets / who / name for name in ("certificate.pem", "key.pem", "ca.pem")]
    ended = asyncio.ensure_future(asyncio.to_thread(sys.stdin.read))
    worst = 0.0
    async with channel.connect(address, channel.channel_credentials(*files)) as connection:
        stub = health_pb2_grpc.HealthStub(connection)
        await stub.Check(health_pb2.HealthCheckRequest(), timeout=DEADLINE_SECONDS)
        print("ready", flush=True)
        while not ended.done():
            started = time.monotonic()
            await stub.Check(health_pb2.HealthCheckRequest(), timeout=DEADLINE_SECONDS)
            worst = max(worst, time.monotonic() - started)
            await asyncio.sleep(PAUSE_SECONDS)
    return worst


if __name__ == "__main__":
    print(asyncio.run(slowest(sys.argv[1], Path(sys.argv[2]), sys.argv[3])))
