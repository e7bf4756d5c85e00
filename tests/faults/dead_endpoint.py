"""
An endpoint is dead for longer than its deliveries' whole schedule, then alive.
"""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

import sqlalchemy as sa

from dispatch_service.storage.schema import deliveries, endpoint_states
from service_runtime.database.instants import after, database_now
from tests.faults.harness import rows
from tests.faults.harness.endpoints import Endpoint
from tests.faults.harness.model import Fault
from tests.faults.harness.site import Site

WAITING = 60
EXPIRED = 10_000
SCHEDULE = (1,)
DEAD_SECONDS = 36.0
"""
Longer than the lifetime of a delivery with that schedule, which is 31 s.
"""

TOLERANCE_SECONDS = 2.5
"""
The interval of claims, and that at which replicas exchange what they know of endpoints.
"""


async def comes_back(site: Site, expired: int = 0, dead_seconds: float = DEAD_SECONDS) -> None:
    """
    Let an endpoint die with 60 deliveries waiting, and come back.
    """
    await site.start()
    endpoint = await site.endpoint()
    await site.subscribe(endpoint, 1, *SCHEDULE)
    await endpoint.stop()
    await site.publisher.publish_many("waits", 1, WAITING)
    died = time.monotonic()
    if expired:
        await plant_expired(site, expired)
    await asyncio.sleep(dead_seconds - (time.monotonic() - died))
    pause = await _pause(site)
    await endpoint.start()
    late = await _first_request(endpoint, pause + 30) - pause
    text = f"first request {late:.1f} s after the pause of {pause:.0f} s"
    site.report.expect(late <= TOLERANCE_SECONDS + bool(expired), text, timed=True)
    await site.ended(60)
    await _judge(site)


async def among_expired(site: Site) -> None:
    """
    The same with 10,000 expired deliveries for that endpoint.
    """
    await comes_back(site, EXPIRED)


async def plant_expired(site: Site, count: int) -> None:
    """
    Publish deliveries for the dead endpoint and let them expire with all their retries used.
    """
    await site.publisher.publish_many("expired", 1, count, 500)
    columns = deliveries.c
    mine = sa.and_(columns.event_id.like("expired-%"), columns.state == "PENDING")
    old, used = after(timedelta(hours=-1)), len(SCHEDULE)
    values = {"expire_time": old, "due_time": old, "retries_used": used, "attempt_count": used + 1}
    await rows.execute(site.dispatch_url, sa.update(deliveries).where(mine).values(values))
    for event_id in [e for e in site.publisher.acknowledged if e.startswith("expired-")]:
        del site.publisher.acknowledged[event_id]


async def _pause(site: Site) -> float:
    """
    Return the seconds for which the breaker still stays open.
    """
    query = sa.select(endpoint_states.c.open_until, database_now())
    found = await rows.select(site.dispatch_url, query)
    return max(((until - now).total_seconds() for until, now in found), default=0.0)


async def _first_request(endpoint: Endpoint, seconds: float) -> float:
    started = time.monotonic()
    while time.monotonic() - started < seconds:
        fresh = [a.time for a in endpoint.arrivals if a.time >= started]
        if fresh:
            return fresh[0] - started
        await asyncio.sleep(0.05)
    return float("inf")


async def _judge(site: Site) -> None:
    """
    Report deliveries that were given up before the receiver had refused all their attempts.
    """
    columns = deliveries.c
    query = sa.select(columns.event_id, columns.state, columns.retries_used)
    found = await rows.select(site.dispatch_url, query.where(columns.event_id.like("waits-%")))
    used_up = {e for e, state, used in found if state == "FAILED" and used >= len(SCHEDULE)}
    early = sum(state == "FAILED" and e not in used_up for e, state, _ in found)
    delivered = sum(state == "SUCCEEDED" for _, state, _ in found)
    site.report.expect(not early, f"{early} given up before their attempts were used up")
    whole = delivered + len(used_up) == WAITING
    site.report.expect(whole, f"{delivered} delivered, {len(used_up)} used up of {len(found)}")
    for event_id in used_up:
        site.publisher.acknowledged.pop(event_id, None)
    await site.compare()


PROMISE = "60 deliveries wait for a dead endpoint beyond their schedule: first request within one"

FAULTS = (
    Fault("endpoint.comes_back", f"{PROMISE} pause", comes_back, seconds=300),
    Fault(
        "endpoint.among_expired",
        f"{PROMISE} pause and a second, with 10,000 expired ones",
        among_expired,
        seconds=330,
    ),
)
