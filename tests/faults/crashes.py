"""
The dispatch service dies again and again.
"""

from __future__ import annotations

import asyncio
import signal
from random import Random

import sqlalchemy as sa

from dispatch_service.storage.schema import deliveries
from tests.crash.stage import shipped
from tests.faults.harness import rows
from tests.faults.harness.endpoints import Arrival
from tests.faults.harness.model import Fault
from tests.faults.harness.publisher import stop
from tests.faults.harness.services import Service
from tests.faults.harness.site import Site

CRASHES = 10
WAITING = 150
ALIVE_SECONDS = 0.4
SHORT_LEASE = {
    "SHIPEDGE_DISPATCH_DEADLINE": "2s",
    "SHIPEDGE_DISPATCH_LEASE": "14s",
    "SHIPEDGE_DISPATCH_CONTROL_TIME": "2s",
}
SHORTEST_LEASE = {
    **SHORT_LEASE,
    "SHIPEDGE_DISPATCH_DEADLINE": "1s",
    "SHIPEDGE_DISPATCH_LEASE": "12s",
}

DEADLY = "deadly"
LEAST_DEATHS, MOST_DEATHS = 10, 16
"""
Deaths that a delivery causes before it is poison: ten alone on the wire, and before that those
that made it a suspect.
"""

KILLS = 12
FAILING_SHARE = 0.3


async def while_waiting(site: Site) -> None:
    """
    Die ten times in a row, each time 0.4 s after SERVING, with 150 deliveries waiting.
    """
    (replica,) = await site.start(settings=SHORT_LEASE)
    endpoint = await site.endpoint(seconds=0.7)
    await site.subscribe(endpoint, 1, 60, 60, max_concurrency=8)
    await site.publisher.publish_many("waits", 1, WAITING, 50)
    for _ in range(CRASHES):
        await replica.kill()
        await replica.start()
        await asyncio.sleep(ALIVE_SECONDS)
    await replica.kill()
    counts = await site.states()
    waited = rows.unfinished(counts)
    site.report.expect(waited >= WAITING // 2, f"{waited} waited through {CRASHES} crashes")
    await replica.start()
    await site.expect_all_confirmed(180)


async def by_a_delivery(site: Site) -> None:
    """
    Die of one delivery: each request for it kills the process that sent it.
    """
    (replica,) = await site.start(settings=SHORTEST_LEASE)
    endpoint = await site.endpoint(seconds=0.1)

    async def decide(arrival: Arrival) -> int:
        if arrival.event_id == DEADLY:
            replica.signal(signal.SIGKILL)
        return 200

    endpoint.decide = decide
    await site.subscribe(endpoint, 1, 60, 60, 60)
    events = [shipped(f"bystander-{n}", 1) for n in range(40)]
    events.insert(20, shipped(DEADLY, 1))
    await site.publisher.publish(events)
    del site.publisher.acknowledged[DEADLY]
    deaths = await _restart_until_poison(site, replica)
    good = LEAST_DEATHS <= deaths <= MOST_DEATHS
    site.report.expect(good, f"poison after {deaths} deaths")
    await site.ended(60)
    counts = await site.states()
    only = counts["FAILED poison"] == 1 and counts["SUCCEEDED"] == len(events) - 1
    site.report.expect(only, f"nobody else: {rows.shown(counts)}")
    await site.compare()


async def _restart_until_poison(site: Site, replica: Service) -> int:
    deaths = 0
    while not await _is_poison(site):
        if not replica.alive:
            deaths += 1
            await replica.start(wait=False)
        await asyncio.sleep(0.2)
    return deaths


async def _is_poison(site: Site) -> bool:
    columns = deliveries.c
    poison = sa.and_(columns.event_id == DEADLY, columns.failure_kind == "poison")
    return bool(await rows.select(site.dispatch_url, sa.select(columns.state).where(poison)))


async def at_random(site: Site, kills: int = KILLS) -> None:
    """
    Kill replicas at random moments, with an ordered and a failing subscription.
    """
    replicas = await site.start(2 if site.server else 1, SHORT_LEASE)
    random = Random(7)  # noqa: S311 - the same choice of moments each time
    fine, failing = await site.endpoint("fine"), await site.endpoint("failing")

    async def decide(_arrival: Arrival) -> int:
        return 500 if random.random() < FAILING_SHARE else 200

    failing.decide = decide
    await site.subscribe(fine, 1, *[1] * 10, ordered=True)
    await site.subscribe(failing, 2, *[1] * 15)
    publishing = [
        asyncio.ensure_future(site.publisher.keep_publishing(f"loop{account}", account, 0.05))
        for account in (1, 2)
    ]
    for turn in range(kills):
        await asyncio.sleep(random.uniform(0, 2))
        replica = replicas[turn % len(replicas)]
        await replica.kill()
        await replica.start()
    failing.decide = None
    await stop(*publishing)
    await site.expect_all_confirmed(180)


FAULTS = (
    Fault(
        "crashes.by_a_delivery",
        "a delivery that kills the process is poison after ten deaths, nobody else",
        by_a_delivery,
        seconds=480,
    ),
    Fault(
        "crashes.while_waiting",
        "ten crashes in a row fail none of 150 deliveries that wait",
        while_waiting,
        seconds=240,
    ),
    Fault("crashes.at_random", "kill -9 at random moments loses nothing", at_random, seconds=240),
)
