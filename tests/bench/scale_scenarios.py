"""
The scenario with 100,000 subscriptions, and then a million due deliveries for 10,000 endpoints.
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
from tests.bench.deployment import Deployment, running_deployment
from tests.bench.scenarios import Figures, Scale
from tests.support.pair import CONFIG, DISPATCH, Subscription

ACCOUNTS = range(1000, 11_000)
EACH = 10
SUBSCRIPTIONS = len(ACCOUNTS) * EACH
HEALTHY = 100
SNAPSHOT_TIMEOUT_SECONDS = 180.0
CHANGES = 5
CHANGED_EVENTS_PER_SECOND = 100
WARM_SECONDS = 5
FRESH, FRESH_PER_SECOND = 200, 10
FRESH_TIMEOUT_SECONDS = 60.0
SAMPLE_SECONDS = 0.25


async def large_scale(scale: Scale) -> Figures:
    """
    Start with 100,000 subscriptions, change some, then deliver a backlog of a million.
    """
    async with running_deployment(scale.postgres, filled_with(ACCOUNTS, EACH)) as deployment:
        figures = await _start_up(deployment)
        figures["start_up_100k_change_visible_ms"] = await _slowest_change_ms(deployment)
        return figures | await _backlog(deployment)


async def _start_up(deployment: Deployment) -> Figures:
    """
    Wait for the first snapshot, then start again with the stored snapshot.
    """
    snapshot = await deployment.wait_applied(SUBSCRIPTIONS, SNAPSHOT_TIMEOUT_SECONDS)
    memory, cpu_s = deployment.memory_mb(), deployment.cpu_seconds()
    await deployment.pair.stop(DISPATCH)
    return {
        "start_up_100k_snapshot_seconds": snapshot,
        "start_up_100k_snapshot_cpu_seconds": cpu_s,
        "start_up_100k_snapshot_config_cpu_seconds": deployment.cpu_seconds(CONFIG),
        "start_up_100k_snapshot_memory_mb": memory,
        "start_up_100k_restart_seconds": await deployment.start_dispatch(),
        "start_up_100k_restart_memory_mb": deployment.memory_mb(),
        "start_up_100k_config_memory_mb": deployment.memory_mb(CONFIG),
    }


async def _slowest_change_ms(deployment: Deployment) -> float:
    """
    Change the URL of a subscription several times while it gets events.

    Return the longest time from the call to the first request at the new URL.
    """
    (healthy,) = await deployment.subscribe([HEALTHY])
    await deployment.receiver.ask("reset")
    rate = CHANGED_EVENTS_PER_SECOND
    total = rate * (CHANGES + 1)
    load = asyncio.create_task(
        deployment.publish(total=total, rate=rate, batch=1, first_account=HEALTHY)
    )
    changed: dict[str, int] = {}
    for number in range(CHANGES):
        await asyncio.sleep(1)
        changed[_path(number)] = time.monotonic_ns()
        await _set_url(deployment, healthy.name, _path(number))
    await load
    await asyncio.sleep(1)
    seen = (await deployment.receiver.ask())["paths"]
    return max(float(seen[path]["first_ns"] - at) / 1e6 for path, at in changed.items())


def _path(change: int) -> str:
    return f"/ok/{change}"


async def _set_url(deployment: Deployment, name: str, path: str) -> None:
    changed = Subscription(name=name, url=deployment.receiver.url(path))
    await deployment.pair.config.UpdateSubscription(
        config_service_pb2.UpdateSubscriptionRequest(
            subscription=changed, update_mask=field_mask_pb2.FieldMask(paths=["url"])
        )
    )


async def _backlog(deployment: Deployment) -> Figures:
    """
    Make a million deliveries due, and publish for an endpoint that has none of them.
    """
    await deployment.pair.stop(DISPATCH)
    await fill_backlog(deployment.pair.environment, ACCOUNTS, EACH)
    restarted = await deployment.start_dispatch()
    await asyncio.sleep(WARM_SECONDS)
    await deployment.receiver.ask("reset")
    load = asyncio.create_task(
        deployment.publish(total=FRESH, rate=FRESH_PER_SECOND, batch=1, first_account=HEALTHY)
    )
    started = time.monotonic()
    seen, memory = await _wait_for_fresh(deployment)
    seconds = time.monotonic() - started
    load.cancel()
    await asyncio.gather(load, return_exceptions=True)
    fresh = seen.get(_path(CHANGES - 1))
    if fresh is None:
        raise TimeoutError("no new event arrived beside the backlog")
    return {
        "backlog_1m_restart_seconds": restarted,
        "backlog_1m_memory_mb": memory,
        "backlog_1m_fresh_delivered_share": fresh["requests"] / FRESH,
        "backlog_1m_fresh_latency_p50_ms": fresh["p50_ms"],
        "backlog_1m_fresh_latency_p99_ms": fresh["p99_ms"],
        "backlog_1m_deliveries_per_second": seen["/ok"]["requests"] / seconds,
        "backlog_1m_left": float(await _unfinished(deployment.database)),
    }


async def _wait_for_fresh(deployment: Deployment) -> tuple[dict[str, Any], float]:
    """
    Wait for the new events, at most `FRESH_TIMEOUT_SECONDS`.

    Return what the receiver has seen, and the largest memory of the dispatch service.
    """
    largest, end = 0.0, time.monotonic() + FRESH_TIMEOUT_SECONDS
    while True:
        largest = max(largest, deployment.memory_mb())
        seen: dict[str, Any] = (await deployment.receiver.ask())["paths"]
        arrived = seen.get(_path(CHANGES - 1), {}).get("requests", 0)
        if arrived >= FRESH or time.monotonic() > end:
            return seen, largest
        await asyncio.sleep(SAMPLE_SECONDS)


async def _unfinished(url: str) -> int:
    db = await asyncpg.connect(url, timeout=10)
    try:
        return int(await db.fetchval("SELECT count(*) FROM deliveries WHERE end_time IS NULL"))
    finally:
        await db.close()
