"""
A configuration holds from the moment at which its change was answered.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from collections.abc import Sequence
from functools import partial

from shipedge.webhooks.config.v1 import config_service_pb2
from tests.crash.stage import shipped
from tests.faults.harness.endpoints import Endpoint
from tests.faults.harness.model import BOTH, POSTGRESQL, Fault
from tests.faults.harness.site import Site
from tests.support.pair import Subscription

DELAYS_MS = (0, 1, 10, 50, 200)
EACH = 100
AT_A_TIME = 10
PAUSED_AT_A_TIME = 50
"""
While a replica is paused each change is answered after two seconds.
"""

OTHERS = 1000
PAUSED_SECONDS = 5.0
INACTIVE = 30
START_SECONDS = 0.3
"""
How much later than its start an attempt may arrive.
"""


async def created(site: Site, replicas: int = 1, others: int = 0, each: int = EACH) -> None:
    """
    Publish right after a subscription was created, while *others* are created as well.
    """
    await site.start(replicas)
    endpoint = await site.endpoint()
    creating = asyncio.ensure_future(_create_others(site, endpoint, others))
    await _create_and_publish(site, endpoint, each, AT_A_TIME)
    await creating
    await _judge(site, endpoint, each)


async def one_paused(site: Site, each: int = EACH) -> None:
    """
    The same on three replicas, one of which is paused for five seconds.
    """
    replicas = await site.start(3)
    endpoint = await site.endpoint()
    site.publisher.addresses = [replica.address for replica in replicas[:2]]
    resuming = asyncio.ensure_future(_pause(site))
    await _create_and_publish(site, endpoint, each, PAUSED_AT_A_TIME)
    await resuming
    await _judge(site, endpoint, each)


async def _pause(site: Site) -> None:
    replica = site.replicas[2]
    replica.signal(signal.SIGSTOP)
    await asyncio.sleep(PAUSED_SECONDS)
    replica.signal(signal.SIGCONT)


async def _create_and_publish(site: Site, endpoint: Endpoint, each: int, at_a_time: int) -> None:
    limit = asyncio.Semaphore(at_a_time)

    async def one(account: int, delay_ms: int) -> None:
        async with limit:
            await site.subscribe(endpoint, account, 5, 5, known=False)
            await asyncio.sleep(delay_ms / 1000)
            await site.publisher.publish([shipped(f"{delay_ms}ms-{account}", account)])

    async with asyncio.TaskGroup() as group:
        for account in range(each * len(DELAYS_MS)):
            group.create_task(one(1 + account, DELAYS_MS[account % len(DELAYS_MS)]))


async def _create_others(site: Site, endpoint: Endpoint, count: int) -> None:
    for number in range(count):
        await site.subscribe(endpoint, 100_000 + number, known=False)


async def _judge(site: Site, endpoint: Endpoint, each: int) -> None:
    total = each * len(DELAYS_MS)
    for _ in range(120):
        if len(site.journal.confirmed()) == total:
            break
        await asyncio.sleep(0.25)
    arrived = Counter(arrival.event_id for arrival in endpoint.arrivals)
    missing = Counter(
        event_id.split("-")[0] for event_id in site.publisher.acknowledged if not arrived[event_id]
    )
    text = "".join(f", {count} missing of {delay}" for delay, count in sorted(missing.items()))
    site.report.expect(len(arrived) == total, f"{len(arrived)} of {total} delivered{text}")
    twice = sum(count > 1 for count in arrived.values())
    site.report.expect(not twice, f"{twice} twice")
    await site.compare()


async def inactive(site: Site, replicas: int = 1) -> None:
    """
    Set subscriptions Inactive while their deliveries are retried.
    """
    await site.start(replicas)
    made = []
    for account in range(1, 1 + INACTIVE):
        endpoint = await site.endpoint(f"endpoint{account}")
        endpoint.status = 500
        subscription = await site.subscribe(endpoint, account, *[1] * 20, known=False)
        made.append((endpoint, subscription))
    await site.calls.known(made[-1][1].name)
    async with asyncio.TaskGroup() as group:
        for account in range(1, 1 + INACTIVE):
            group.create_task(site.publisher.publish_many(f"retried{account}", account, 5))
    await asyncio.sleep(3)
    late = await asyncio.gather(*(_set_inactive(site, *each) for each in made))
    await asyncio.sleep(4)
    attempts = sum(_started_after(endpoint, answered) for endpoint, answered in late)
    site.report.expect(not attempts, f"{attempts} attempts began after the answer")
    unconfirmed = sum(answered == float("inf") for _, answered in late)
    # A replica is waited for two seconds.
    text = f"{unconfirmed} not confirmed by all replicas"
    site.report.expect(not unconfirmed, text, timed=True)


async def _set_inactive(
    site: Site, endpoint: Endpoint, subscription: Subscription
) -> tuple[Endpoint, float]:
    """
    Return when the change was answered; infinity if a replica did not confirm it.
    """
    request = config_service_pb2.UpdateSubscriptionRequest(
        subscription=Subscription(name=subscription.name, status=Subscription.STATUS_INACTIVE)
    )
    request.update_mask.paths.append("status")
    answer = await site.calls.config.UpdateSubscription(request)
    unconfirmed = getattr(answer, "unconfirmed_replicas", 0)
    return endpoint, float("inf") if unconfirmed else time.monotonic()


def _started_after(endpoint: Endpoint, answered: float) -> int:
    return sum(arrival.time > answered + START_SECONDS for arrival in endpoint.arrivals)


PROMISE = "events published 0 to 200 ms after a Create was answered arrive once"


def _created(name: str, what: str, databases: Sequence[str], replicas: int, others: int) -> Fault:
    scenario = partial(created, replicas=replicas, others=others)
    return Fault(
        f"in_force.{name}", f"{PROMISE}: {what}", scenario, databases, seconds=300, busy=True
    )


FAULTS = (
    _created("one", "one replica", BOTH, 1, 0),
    _created("three", "three replicas", (POSTGRESQL,), 3, 0),
    _created("among_others", "while 1,000 others are created", BOTH, 1, OTHERS),
    Fault(
        "in_force.one_paused",
        f"{PROMISE}: one of three replicas is paused",
        one_paused,
        (POSTGRESQL,),
        seconds=300,
        busy=True,
    ),
    # Each replica has two seconds to confirm a change.
    Fault(
        "in_force.inactive", "no attempt begins after Inactive was answered", inactive, busy=True
    ),
    Fault(
        "in_force.inactive_three",
        "no attempt begins after Inactive was answered, three replicas",
        partial(inactive, replicas=3),
        (POSTGRESQL,),
        busy=True,
    ),
)
