"""
The dispatch service is away for longer than a schedule's whole span.
"""

from __future__ import annotations

import asyncio
import signal

from tests.faults.harness import rows
from tests.faults.harness.endpoints import Endpoint
from tests.faults.harness.model import Fault
from tests.faults.harness.site import Site

ACCOUNTS = range(1, 5)
EACH = 15
AWAY_SECONDS = 36.0
"""
Longer than the lifetime of a delivery with one retry after a second, which is 31 s.
"""


async def slow_accounts(site: Site, seconds: float, *retry_seconds: int) -> list[Endpoint]:
    """
    Subscribe four accounts with a slow endpoint each.
    """
    made = []
    for account in ACCOUNTS:
        endpoint = await site.endpoint(f"slow{account}", seconds)
        await site.subscribe(endpoint, account, *retry_seconds, max_concurrency=2)
        made.append(endpoint)
    return made


async def publish_to_all(site: Site, each: int = EACH) -> None:
    """
    Publish events of each of the four accounts.
    """
    async with asyncio.TaskGroup() as group:
        for account in ACCOUNTS:
            group.create_task(site.publisher.publish_many(f"away{account}", account, each))


async def stopped(site: Site) -> None:
    """
    Stop it by SIGTERM.
    """
    await _away(site, signal.SIGTERM)


async def killed(site: Site) -> None:
    """
    Kill it.
    """
    await _away(site, signal.SIGKILL)


async def _away(site: Site, number: int, seconds: float = AWAY_SECONDS) -> None:
    (replica,) = await site.start()
    await slow_accounts(site, 1.5, 1)
    await publish_to_all(site)
    replica.signal(number)
    assert replica.child is not None
    await replica.child.wait()
    before = await site.states()
    waiting = rows.unfinished(before)
    site.report.expect(waiting > EACH, f"{waiting} waited {seconds:g} s")
    await asyncio.sleep(seconds)
    await replica.start()
    await site.expect_all_confirmed(60)


async def paused(site: Site) -> None:
    """
    Pause one of two replicas, or the only one, for longer than its leases.
    """
    replicas = await site.start(2 if site.server else 1)
    await slow_accounts(site, 0.5, 1)
    await publish_to_all(site)
    replicas[0].signal(signal.SIGSTOP)
    await asyncio.sleep(25)
    replicas[0].signal(signal.SIGCONT)
    await site.expect_all_confirmed(60)


PROMISE = "60 of 60 arrive after {} for longer than the whole schedule"

FAULTS = (
    Fault("absence.stopped", PROMISE.format("a stop by SIGTERM"), stopped),
    Fault("absence.killed", PROMISE.format("kill -9 and a pause"), killed),
    Fault("absence.paused", "SIGSTOP for longer than a lease loses nothing", paused),
)
