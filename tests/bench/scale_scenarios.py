"""
Much of everything: a hundred thousand subscriptions, then a million due deliveries
for ten thousand endpoints.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import asyncpg
from google.protobuf import field_mask_pb2

from shipedge.webhooks.config.v1 import config_service_pb2
from tests.bench.backlog_rows import fill_backlog
from tests.bench.bulk_subscriptions import filled_with
from tests.bench.scenarios import Figures, Scale
from tests.bench.stage import Stage, running_stage
from tests.support.pair import CONFIG, DISPATCH, Subscription

ACCOUNTS = range(1000, 11_000)
EACH = 10
SUBSCRIPTIONS = len(ACCOUNTS) * EACH
HEALTHY = 100
SNAPSHOT_PATIENCE_SECONDS = 180.0
CHANGES = 5
CHANGED_EVENTS_PER_SECOND = 100
WARM_SECONDS = 5
FRESH, FRESH_PER_SECOND = 200, 10
FRESH_PATIENCE_SECONDS = 60.0
SAMPLE_SECONDS = 0.25


async def large_scale(scale: Scale) -> Figures:
    """
    Start with 100,000 subscriptions, change some of them, then work at a backlog of a million.
    """
    async with running_stage(scale.postgres, filled_with(ACCOUNTS, EACH)) as stage:
        figures = await _start_up(stage)
        figures["start_up_100k_change_visible_ms"] = await _slowest_change_ms(stage)
        return figures | await _backlog(stage)


async def _start_up(stage: Stage) -> Figures:
    """
    Wait for the first snapshot, then start again from what is stored of it.
    """
    snapshot = await stage.wait_applied(SUBSCRIPTIONS, SNAPSHOT_PATIENCE_SECONDS)
    memory, cpu_s = stage.memory_mb(), stage.cpu_seconds()
    await stage.pair.stop(DISPATCH)
    return {
        "start_up_100k_snapshot_seconds": snapshot,
        "start_up_100k_snapshot_cpu_seconds": cpu_s,
        "start_up_100k_snapshot_config_cpu_seconds": stage.cpu_seconds(CONFIG),
        "start_up_100k_snapshot_memory_mb": memory,
        "start_up_100k_restart_seconds": await stage.start_dispatch(),
        "start_up_100k_restart_memory_mb": stage.memory_mb(),
        "start_up_100k_config_memory_mb": stage.memory_mb(CONFIG),
    }


async def _slowest_change_ms(stage: Stage) -> float:
    """
    Give a subscription other URLs while it gets events; return the longest time from
    the call that changes it until a request comes there.
    """
    (healthy,) = await stage.subscribe([HEALTHY])
    await stage.receiver.ask("reset")
    rate = CHANGED_EVENTS_PER_SECOND
    total = rate * (CHANGES + 1)
    load = asyncio.create_task(
        stage.publish(total=total, rate=rate, batch=1, first_account=HEALTHY)
    )
    changed: dict[str, int] = {}
    for number in range(CHANGES):
        await asyncio.sleep(1)
        changed[_path(number)] = time.monotonic_ns()
        await _set_url(stage, healthy.name, _path(number))
    await load
    await asyncio.sleep(1)
    seen = (await stage.receiver.ask())["paths"]
    return max(float(seen[path]["first_ns"] - at) / 1e6 for path, at in changed.items())


def _path(change: int) -> str:
    return f"/ok/{change}"


async def _set_url(stage: Stage, name: str, path: str) -> None:
    changed = Subscription(name=name, url=stage.receiver.url(path))
    await stage.pair.config.UpdateSubscription(
        config_service_pb2.UpdateSubscriptionRequest(
            subscription=changed, update_mask=field_mask_pb2.FieldMask(paths=["url"])
        )
    )


async def _backlog(stage: Stage) -> Figures:
    """
    Let a million deliveries be due, and publish for an endpoint that has none of them.
    """
    await stage.pair.stop(DISPATCH)
    await fill_backlog(stage.pair.environment, ACCOUNTS, EACH)
    restarted = await stage.start_dispatch()
    await asyncio.sleep(WARM_SECONDS)
    await stage.receiver.ask("reset")
    load = asyncio.create_task(
        stage.publish(total=FRESH, rate=FRESH_PER_SECOND, batch=1, first_account=HEALTHY)
    )
    started = time.monotonic()
    seen, memory = await _until_fresh_came(stage)
    seconds = time.monotonic() - started
    load.cancel()
    await asyncio.gather(load, return_exceptions=True)
    fresh = seen.get(_path(CHANGES - 1))
    if fresh is None:
        raise TimeoutError("nothing that was published came beside the backlog")
    return {
        "backlog_1m_restart_seconds": restarted,
        "backlog_1m_memory_mb": memory,
        "backlog_1m_fresh_delivered_share": fresh["requests"] / FRESH,
        "backlog_1m_fresh_latency_p50_ms": fresh["p50_ms"],
        "backlog_1m_fresh_latency_p99_ms": fresh["p99_ms"],
        "backlog_1m_deliveries_per_second": seen["/ok"]["requests"] / seconds,
        "backlog_1m_left": float(await _unfinished(stage.database)),
    }


async def _until_fresh_came(stage: Stage) -> tuple[dict[str, Any], float]:
    """
    Wait until what was published came, for so long as is bearable; return what was seen,
    and the most memory that the dispatcher had at any time.
    """
    most, end = 0.0, time.monotonic() + FRESH_PATIENCE_SECONDS
    while True:
        most = max(most, stage.memory_mb())
        seen: dict[str, Any] = (await stage.receiver.ask())["paths"]
        came = seen.get(_path(CHANGES - 1), {}).get("requests", 0)
        if came >= FRESH or time.monotonic() > end:
            return seen, most
        await asyncio.sleep(SAMPLE_SECONDS)


async def _unfinished(url: str) -> int:
    db = await asyncpg.connect(url, timeout=10)
    try:
        return int(await db.fetchval("SELECT count(*) FROM deliveries WHERE end_time IS NULL"))
    finally:
        await db.close()
