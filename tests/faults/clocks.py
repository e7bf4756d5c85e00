"""
The wall clock steps: that of the PostgreSQL server alone, or that of the services on SQLite.
"""

from __future__ import annotations

import asyncio
import time

from tests.faults.harness import rows
from tests.faults.harness.model import Fault
from tests.faults.harness.publisher import stop
from tests.faults.harness.site import Site

HOUR = 3600
SCHEDULE = (10,) * 10
LOAD = 30
STEP_SECONDS = 10 * 1.2
PAUSE_SECONDS = 20.0
"""
The longest pause of a breaker after the failures of this scenario, with the intervals of claims.
"""


async def forward_and_back(site: Site) -> None:
    """
    Move the clock an hour ahead while deliveries fail, and back while their endpoint is healthy.
    """
    assert site.clock is not None
    await site.start()
    failing, healthy = await site.endpoint("failing"), await site.endpoint("healthy")
    failing.status = 500
    await site.subscribe(failing, 1, *SCHEDULE)
    await site.subscribe(healthy, 2, *SCHEDULE)
    await site.publisher.publish_many("failing", 1, LOAD)
    publishing = asyncio.ensure_future(site.publisher.keep_publishing("healthy", 2))
    await asyncio.sleep(3)
    site.clock.move(HOUR)
    await asyncio.sleep(15)
    await _expect_none_failed(site, "an hour ahead")
    failing.status = 200
    site.clock.move(0)
    back = time.monotonic()
    await asyncio.sleep(8)
    await stop(publishing)
    await _expect_ended_since(site, back)
    await site.expect_all_confirmed(10)


async def back_and_forward(site: Site) -> None:
    """
    Move the clock an hour back while deliveries fail, and ahead again.
    """
    assert site.clock is not None
    await site.start()
    endpoint = await site.endpoint()
    endpoint.status = 500
    await site.subscribe(endpoint, 1, *SCHEDULE)
    await site.publisher.publish_many("failing", 1, LOAD)
    await asyncio.sleep(3)
    site.clock.move(-HOUR)
    endpoint.status = 200
    stepped = time.monotonic()
    await site.publisher.publish_many("behind", 1, LOAD)
    await _expect_ended_since(site, stepped)
    site.clock.move(0)
    await asyncio.sleep(3)
    await _expect_none_failed(site, "at the right time again")
    await site.expect_all_confirmed(10)


async def _expect_ended_since(site: Site, moment: float) -> None:
    """
    Expect that all deliveries end as soon after *moment* as their schedule allows.
    """
    bound = STEP_SECONDS + PAUSE_SECONDS
    ended = await site.ended(2 * bound)
    waited = time.monotonic() - moment
    text = f"all ended after {waited:.0f} s" if ended else f"not all ended after {waited:.0f} s"
    site.report.expect(ended, text)
    site.report.expect(waited <= bound, f"within {bound:.0f} s", timed=True)


async def _expect_none_failed(site: Site, when: str) -> None:
    counts = await site.states()
    site.report.expect(not rows.failed(counts), f"{rows.failed(counts)} FAILED {when}")


PROMISE = "nothing is FAILED, nothing waits longer than its step: one hour"

FAULTS = (
    Fault("clock.forward", f"{PROMISE} ahead, then back", forward_and_back, moves_clock=True),
    Fault("clock.back", f"{PROMISE} behind, then right", back_and_forward, moves_clock=True),
)
