"""
Items of the feed that do not compile, or whose kind is not known.
"""

from __future__ import annotations

import asyncio
import time

import sqlalchemy as sa

from dispatch_service.storage import associated_data
from dispatch_service.storage.schema import feed_resources
from service_runtime.keys.keyring import KeyRing, development_ring
from shipedge.webhooks.feed.v1 import (
    feed_service_pb2 as pb,
)
from tests.faults.harness import rows
from tests.faults.harness.endpoints import Endpoint
from tests.faults.harness.feed_proxy import running_feed_proxy
from tests.faults.harness.model import Fault
from tests.faults.harness.services import DISPATCH
from tests.faults.harness.site import Site

BAD, UNKNOWN = "accounts/1/subscriptions/bad", "accounts/1/futures/unknown"
GOOD_ACCOUNTS = range(2, 8)
SCHEDULE = (5, 5)
UNKNOWN_FIELD = b"\xf2\x3e\x07unknown"
"""
A field 1006, which no version of the contract has.
"""


class BadItems:
    """
    Puts one item that does not compile and one of an unknown kind first into each answer with
    changes.
    """

    def __init__(self) -> None:
        self.sent = 0

    def __call__(self, answer: pb.WatchConfigurationResponse) -> None:
        if not answer.changes:
            return
        good = list(answer.changes)
        del answer.changes[:]
        revision = good[0].revision
        answer.changes.extend([broken_item(revision), unknown_item(revision), *good])
        self.sent += 1


def broken_item(revision: int) -> pb.FeedChange:
    """
    Make a subscription whose key cannot be read.
    """
    made = pb.FeedChange(revision=revision)
    made.subscription.subscription.name = BAD
    made.subscription.signing_secrets.add(secret="no key at all")
    return made


def unknown_item(revision: int) -> pb.FeedChange:
    """
    Make a change of a kind that does not exist yet.
    """
    return pb.FeedChange.FromString(
        pb.FeedChange(revision=revision).SerializeToString() + UNKNOWN_FIELD
    )


async def at_run_time(site: Site) -> None:
    """
    Send both among good ones.
    """
    await site.start_config()
    endpoint = await site.endpoint()
    items = BadItems()
    async with running_feed_proxy(site.config.address, items) as address:
        replica = site.service(DISPATCH, SHIPEDGE_DISPATCH_CONFIG_ADDRESS=address)
        await replica.start()
        site.follow()
        await _subscribe_good(site, endpoint)
        await _expect_served(site, endpoint, "fresh")
        site.report.expect(items.sent > 0, f"{items.sent} answers had bad items")
        await replica.stop()
        await replica.start()
        await _expect_served(site, endpoint, "restarted")
        _expect_logged(site)
        await site.compare()


async def in_the_snapshot(site: Site) -> None:
    """
    Find both, and one that cannot be opened, in the stored snapshot.
    """
    (replica,) = await site.start()
    endpoint = await site.endpoint()
    await _subscribe_good(site, endpoint)
    await site.calls.known(*await _names(site))
    await replica.stop()
    await site.config.stop()
    await _plant(site)
    await replica.start()
    await _expect_served(site, endpoint, "stored")
    _expect_logged(site)
    await site.compare()


async def _names(site: Site) -> list[str]:
    columns = feed_resources.c
    query = sa.select(columns.name).where(columns.kind == "subscription")
    return [name for (name,) in await rows.select(site.dispatch_url, query)]


async def _plant(site: Site) -> None:
    ring = development_ring(site.directory / "data")
    unopened = b"not sealed at all"
    planted = [
        _row(BAD, "subscription", _sealed(ring, BAD, broken_item(1))),
        _row(UNKNOWN, "future", _sealed(ring, UNKNOWN, unknown_item(1))),
        _row("accounts/1/subscriptions/unopened", "subscription", unopened),
    ]
    insert = sa.insert(feed_resources)
    await rows.execute(site.dispatch_url, *(insert.values(row) for row in planted))


def _row(name: str, kind: str, sealed: bytes) -> dict[str, object]:
    return {"name": name, "kind": kind, "revision": 1, "sealed": sealed}


def _sealed(ring: KeyRing, name: str, change: pb.FeedChange) -> bytes:
    return ring.seal(change.SerializeToString(), associated_data.feed_resource(name))


async def _subscribe_good(site: Site, endpoint: Endpoint) -> None:
    for account in GOOD_ACCOUNTS:
        await site.subscribe(endpoint, account, *SCHEDULE, known=False)


async def _expect_served(site: Site, endpoint: Endpoint, prefix: str) -> None:
    """
    Publish an event of each good account until it arrives.
    """
    wanted = {f"{prefix}{account}-0" for account in GOOD_ACCOUNTS}
    for account in GOOD_ACCOUNTS:
        await site.publisher.publish_many(f"{prefix}{account}", account, 1)
    started = time.monotonic()
    while time.monotonic() - started < 20:
        arrived = wanted & {arrival.event_id for arrival in endpoint.arrivals}
        if arrived == wanted:
            break
        await asyncio.sleep(0.1)
    text = f"{len(arrived)} of {len(wanted)} others served ({prefix})"
    site.report.expect(arrived == wanted, text)


def _expect_logged(site: Site) -> None:
    """
    Look for the name of the bad item in the log.
    """
    (replica,) = site.replicas
    naming = [line for line in replica.lines() if BAD in str(line)]
    shown = any(line.get("level") in {"warning", "error"} for line in naming)
    site.report.expect(shown, f"{len(naming)} log lines name the bad item")


PROMISE = "an item that does not compile or is unknown stops no other"

FAULTS = (
    Fault("feed.at_run_time", f"{PROMISE}, in the feed", at_run_time),
    Fault("feed.in_the_snapshot", f"{PROMISE}, in the stored snapshot", in_the_snapshot),
)
