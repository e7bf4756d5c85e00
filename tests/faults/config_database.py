"""
The config service answers from another database: an older one, another one, an empty one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial

import sqlalchemy as sa
from google.protobuf import field_mask_pb2

from dispatch_service.storage.schema import deliveries
from shipedge.webhooks.config.v1 import config_service_pb2
from tests.faults.harness import config_copies, rows
from tests.faults.harness.endpoints import Endpoint
from tests.faults.harness.model import Fault
from tests.faults.harness.services import Service
from tests.faults.harness.site import Site
from tests.support.pair import Subscription

WAITING = 30
SCHEDULE = (5,) * 20
CONTACT_SECONDS = 7.5
"""
How long a dispatch service waits at most before it calls a config service again.
"""

NOTICED_SECONDS = 5.0
OTHERS = 12
OWN = 6


class Swap:
    """
    A change of the config service's database, with the dispatch service *away* or there.
    """

    def __init__(self, site: Site, *, away: bool) -> None:
        self._site = site
        self._away = away

    async def to(self, url: str) -> None:
        """
        Change to another database; report how soon the dispatch service warns of it.
        """
        before = len(self._warnings())
        await self.on(url)
        seconds = await self._warned(before)
        bound = CONTACT_SECONDS + NOTICED_SECONDS
        self._site.report.expect(seconds <= bound, f"noticed after {seconds:.1f} s", timed=True)

    async def on(self, url: str) -> None:
        """
        Change to a database that goes on from what the dispatch service has followed: there is
        nothing to warn of.
        """
        if self._away:
            await self._replica().stop()
        await config_copies.change(self._site, url)
        if self._away:
            await self._replica().start()

    def _replica(self) -> Service:
        return self._site.replicas[0]

    def _warnings(self) -> list[str]:
        levels = {"warning", "error", "critical"}
        lines = [line for line in self._replica().lines() if line.get("level") in levels]
        events = [str(line["event"]) for line in lines]
        return [e for e in events if e.startswith("feed.") and e != "feed.broken"]

    async def _warned(self, before: int) -> float:
        started = time.monotonic()
        while time.monotonic() - started < 2 * (CONTACT_SECONDS + NOTICED_SECONDS):
            if len(self._warnings()) > before:
                return time.monotonic() - started
            await asyncio.sleep(0.1)
        return float("inf")


async def older(site: Site, *, away: bool) -> None:
    """
    Restore a backup that lacks subscription B and has another URL of A; then the right database.
    """
    await site.start()
    swap = Swap(site, away=away)
    first, second, other = [await site.endpoint(name) for name in ("a1", "a2", "b")]
    for endpoint in (first, second, other):
        endpoint.status = 500
    made = await site.subscribe(first, 1, *SCHEDULE)
    backup = await config_copies.copy(site, "backup")
    right = site.config.environment["SHIPEDGE_CONFIG_DATABASE_URL"]
    await site.calls.config.UpdateSubscription(_new_url(made.name, second.url))
    await site.subscribe(other, 2, *SCHEDULE)
    await site.publisher.publish_many("a", 1, WAITING)
    await site.publisher.publish_many("b", 2, WAITING)
    await swap.to(backup)
    for endpoint in (first, second, other):
        endpoint.status = 200
    await asyncio.sleep(10)
    await _expect_none_cancelled(site, "while it was older")
    # The backup is a part of its history, and nothing was changed meanwhile.
    await swap.on(right)
    await site.expect_all_confirmed(60)


def _new_url(name: str, url: str) -> config_service_pb2.UpdateSubscriptionRequest:
    return config_service_pb2.UpdateSubscriptionRequest(
        subscription=Subscription(name=name, url=url),
        update_mask=field_mask_pb2.FieldMask(paths=["url"]),
    )


async def higher(site: Site, *, away: bool) -> None:
    """
    Change to a database of another history, whose numbers are higher.
    """
    await site.start()
    endpoint = await site.endpoint()
    await site.subscribe(endpoint, 1, *SCHEDULE)
    backup = await config_copies.copy(site, "backup")
    right = site.config.environment["SHIPEDGE_CONFIG_DATABASE_URL"]
    own, others = range(100, 100 + OWN), range(200, 200 + OTHERS)
    # The other history is made while nobody reads it.
    await site.replicas[0].stop()
    await config_copies.change(site, backup)
    await _subscribe_all(site, endpoint, others)
    await config_copies.change(site, right)
    await site.replicas[0].start()
    await site.calls.known(*await _subscribe_all(site, endpoint, own))
    await _expect_served(site, endpoint, own, "before")
    await Swap(site, away=away).to(backup)
    # Until the new snapshot is applied: what is published before that is another promise.
    await asyncio.sleep(NOTICED_SECONDS)
    await _expect_served(site, endpoint, others, "after")
    served = await _served(site, endpoint, own, "gone")
    site.report.expect(not served, f"{served} of {OWN} served that do not exist")
    for account in own:
        site.publisher.acknowledged.pop(f"gone{account}-0", None)
    await site.compare()


async def _subscribe_all(site: Site, endpoint: Endpoint, accounts: range) -> list[str]:
    """
    Subscribe accounts; return the names of their subscriptions.
    """
    made = [await site.subscribe(endpoint, account, *SCHEDULE, known=False) for account in accounts]
    return [subscription.name for subscription in made]


async def _served(site: Site, endpoint: Endpoint, accounts: range, prefix: str) -> int:
    """
    Publish an event of each account; return how many arrive within 10 s.
    """
    for account in accounts:
        await site.publisher.publish_many(f"{prefix}{account}", account, 1)
    wanted = {f"{prefix}{account}-0" for account in accounts}
    for _ in range(40):
        arrived = wanted & {arrival.event_id for arrival in endpoint.arrivals}
        if arrived == wanted:
            break
        await asyncio.sleep(0.25)
    return len(arrived)


async def _expect_served(site: Site, endpoint: Endpoint, accounts: range, prefix: str) -> None:
    count = await _served(site, endpoint, accounts, prefix)
    whole = count == len(accounts)
    site.report.expect(whole, f"{count} of {len(accounts)} served {prefix} the change")


async def emptied(site: Site, *, away: bool) -> None:
    """
    Change to an empty database, publish, and change back.
    """
    await site.start()
    swap = Swap(site, away=away)
    endpoints = [await site.endpoint(name) for name in ("waiting1", "waiting2", "fresh")]
    for account, endpoint in enumerate(endpoints, 1):
        await site.subscribe(endpoint, account, *SCHEDULE)
    for account, endpoint in enumerate(endpoints[:2], 1):
        endpoint.status = 500
        await site.publisher.publish_many(f"waits{account}", account, WAITING)
    right = site.config.environment["SHIPEDGE_CONFIG_DATABASE_URL"]
    await swap.to(await config_copies.empty(site, "nothing"))
    for endpoint in endpoints:
        endpoint.status = 200
    await site.publisher.publish_many("meanwhile", 3, 10)
    await asyncio.sleep(10)
    await _expect_none_cancelled(site, "while it was empty")
    await swap.to(right)
    await _until_matched(site, "meanwhile", 10)
    await site.expect_all_confirmed(60)


async def _until_matched(site: Site, prefix: str, count: int) -> None:
    columns = deliveries.c
    query = sa.select(sa.func.count()).where(columns.event_id.like(f"{prefix}-%"))
    for _ in range(120):
        found = (await rows.select(site.dispatch_url, query))[0][0]
        if found == count:
            break
        await asyncio.sleep(0.25)
    site.report.expect(found == count, f"{found} of {count} published meanwhile matched")


async def _expect_none_cancelled(site: Site, when: str) -> None:
    counts = await site.states()
    site.report.expect(not counts["CANCELLED"], f"{counts['CANCELLED']} CANCELLED {when}")


def _both(name: str, promise: str, scenario: Callable[..., Awaitable[None]]) -> tuple[Fault, ...]:
    """
    Return a fault with the dispatch service there, and one with it away.
    """
    return tuple(
        Fault(f"config.{name}_{when}", f"{promise}, dispatch {when}", partial(scenario, away=away))
        for when, away in (("there", False), ("away", True))
    )


FAULTS = (
    *_both("older", "a config database restored from a backup cancels nothing", older),
    *_both("higher", "another config database is noticed, whatever its numbers", higher),
    *_both("emptied", "an empty config database cancels nothing, nothing is lost", emptied),
)
