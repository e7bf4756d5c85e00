"""
The questions of support over all accounts, each one call, with a log of a million attempts of a
thousand accounts.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from statistics import median
from typing import Any

import asyncpg

from dispatch_service.payloads import example_event
from shipedge.webhooks.dispatch.v1 import delivery_service_pb2 as pb
from tests.bench.deployment import Deployment, running_deployment
from tests.bench.log_scenarios import CALLS, ROWS, fill_log
from tests.bench.scenarios import WIDE, Figures, Scale
from tests.support.pair import PATIENCE_SECONDS

ACCOUNTS = 997
"""
Of how many accounts the attempts are: a prime, so that each has its share of failures.
"""

NUMBER = "SO-4711"
UNREACHED = 200
COUNTED_SECONDS = 180.0
"""
How long it may take until the figures of the whole log are there.
"""


async def support(scale: Scale) -> Figures:
    """
    Ask what failed in the last hour, which webhooks are failing, what became of an order, why
    deliveries wait, and how one webhook does.
    """
    async with running_deployment(scale.postgres, **WIDE) as deployment:
        await deployment.subscribe()
        await deployment.measure(total=scale.of(4000))
        await fill_log(deployment.database, ROWS)
        await _over_accounts(deployment.database)
        await _wait_for_deliveries(deployment)
        counted = await _counted(deployment)
        asked = {f"support_1m_{name}_ms": await _call_ms(call) for name, call in _calls(deployment)}
    return {"support_1m_counted_seconds": counted, **asked}


async def _over_accounts(url: str) -> None:
    """
    Give the attempts to many accounts, and let the figures begin again.
    """
    db = await asyncpg.connect(url, timeout=10)
    try:
        owner = f"'accounts/' || (1000 + abs(hashtext(event_id)) % {ACCOUNTS})"
        moved = f"UPDATE attempts SET owner = {owner} WHERE event_id LIKE 'old-%'"  # noqa: S608
        await db.execute(moved, timeout=300)
        await db.execute("VACUUM ANALYZE attempts", timeout=300)
        await db.execute("DELETE FROM attempt_figures", timeout=60)
        await db.execute("DELETE FROM figure_positions", timeout=60)
    finally:
        await db.close()


async def _wait_for_deliveries(deployment: Deployment) -> None:
    """
    Publish an order with a number to an endpoint that cannot be reached: its delivery waits.
    """
    made = await deployment.pair.subscribe(
        "https://127.0.0.1:1/hook", "orders/shipped", "v2", f"accounts/{UNREACHED}"
    )
    await deployment.wait_applied(made.revision)
    event = example_event("orders/shipped")
    event.account_id, event.event_id = UNREACHED, "numbered"
    event.order_status_changed.order.number = NUMBER
    await deployment.pair.publish(event)
    request = pb.ListDeliveriesRequest(parent="accounts/-", filter="state = PENDING")
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not (await deployment.pair.deliveries.ListDeliveries(request)).deliveries:
            await asyncio.sleep(0.1)


async def _counted(deployment: Deployment) -> float:
    """
    Wait until the figures have all attempts of the last two days; return the seconds.
    """
    started = time.monotonic()
    request = pb.ListSubscriptionStatsRequest(parent="accounts/-", page_size=1)
    async with asyncio.timeout(COUNTED_SECONDS):
        while True:
            answer = await deployment.pair.deliveries.ListSubscriptionStats(request)
            behind = [
                time.time() - it.counted_through_time.ToSeconds()
                for it in answer.subscription_stats
            ]
            if behind and behind[0] < PATIENCE_SECONDS:
                return time.monotonic() - started
            await asyncio.sleep(0.5)


def _calls(deployment: Deployment) -> list[tuple[str, Callable[[], Awaitable[Any]]]]:
    """
    Return what support asks, by name; each answer must have found something.
    """
    ago = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 3600))
    api = deployment.pair.deliveries
    failed = f'status != SUCCESS AND start_time >= "{ago}"'
    requests: Mapping[str, tuple[Any, Any]] = {
        "failed_last_hour": (
            api.ListAttempts,
            pb.ListAttemptsRequest(parent="accounts/-/deliveries/-", filter=failed),
        ),
        "failing_webhooks": (
            api.ListSubscriptionStats,
            pb.ListSubscriptionStatsRequest(parent="accounts/-"),
        ),
        "order_number": (
            api.ListEvents,
            pb.ListEventsRequest(parent="accounts/-", filter=f'order_number = "{NUMBER}"'),
        ),
        "why_waiting": (
            api.ListDeliveries,
            pb.ListDeliveriesRequest(parent="accounts/-", filter="state = PENDING"),
        ),
    }
    return [(name, _asking(method, request)) for name, (method, request) in requests.items()]


def _asking(method: Any, request: Any) -> Callable[[], Awaitable[Any]]:
    async def call() -> None:
        answer = await method(request)
        if not any(value for _, value in answer.ListFields()):
            raise RuntimeError(f"nothing found by {type(request).__name__}")

    return call


async def _call_ms(call: Callable[[], Awaitable[Any]]) -> float:
    times_ms = []
    for _ in range(CALLS):
        started = time.perf_counter()
        await call()
        times_ms.append((time.perf_counter() - started) * 1000)
    return median(times_ms)
