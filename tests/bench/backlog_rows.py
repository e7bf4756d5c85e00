"""
A backlog as after an outage of all receivers: events, sealed payloads and due deliveries.

The code of the product stores the events; SQL then copies their deliveries.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import islice

import asyncpg

from dispatch_service.app import utc_now
from dispatch_service.domain.work import Lease, NewEvent
from dispatch_service.intake.prepare import Preparer
from dispatch_service.payloads import example_event
from dispatch_service.queue.postgresql import PostgresQueue
from dispatch_service.routing.index import SubscriptionIndex
from dispatch_service.routing.subscriptions import Subscription
from dispatch_service.settings import Settings
from dispatch_service.storage.ids import new_id
from dispatch_service.storage.sealing import DayKeys, Sealer
from service_runtime.database.engine import create_engine
from service_runtime.rules.urls import parse_url
from service_runtime.settings.reading import read_settings
from tests.bench.bulk_subscriptions import subscription_id
from tests.support.dispatch_factories import subscription

EVENTS_EACH = 10
GROUP = 500
NO_PROCESS = Lease("nobody", timedelta(seconds=1))


async def fill_backlog(
    environment: Mapping[str, str], accounts: Sequence[int], subscriptions: int
) -> None:
    """
    Store ten due events of each account, each with a delivery for each subscription.

    PostgreSQL only. Deliveries of one event share its payload, as in the product.
    """
    settings = read_settings(Settings, environment)
    engine = create_engine(settings.database(), application_name="benchmark")
    ring = settings.key_ring()
    url = environment["BENCH_RECEIVER_URL"]
    wanted = replace(
        subscription(),
        url=parse_url(url, settings.url_rules()),
        url_hash=ring.keyed_hash("url", url),
    )
    queue = PostgresQueue(engine)
    try:
        sealer = await DayKeys(engine, ring, utc_now).today()
        events = _events(accounts, wanted, sealer)
        while group := await asyncio.to_thread(_next, events):
            await queue.insert(group, NO_PROCESS)
    finally:
        await queue.close()
        await engine.dispose()
    await _multiply(settings.database(), subscriptions)


def _next(events: Iterator[NewEvent]) -> list[NewEvent]:
    return list(islice(events, GROUP))


def _events(accounts: Sequence[int], wanted: Subscription, sealer: Sealer) -> Iterator[NewEvent]:
    """
    Prepare the events, each with one delivery that has no slot in memory.
    """
    event = example_event("orders/shipped")
    for account in accounts:
        index = SubscriptionIndex()
        index.put(replace(wanted, owner=f"accounts/{account}", subscription_id=subscription_id(0)))
        preparer = Preparer(index, new_id)
        event.account_id = account
        for number in range(EVENTS_EACH):
            event.event_id = f"old-{number}"
            event.order_status_changed.order.id = number + 1
            (prepared,) = preparer.prepare([event], sealer)
            yield prepared.event


async def _multiply(url: str, subscriptions: int) -> None:
    """
    Copy each unfinished delivery to the other subscriptions of its owner.
    """
    db = await asyncpg.connect(url, timeout=10)
    try:
        names = await db.fetchval(
            "SELECT string_agg(column_name, ', ') FROM information_schema.columns"
            " WHERE table_name = 'deliveries'"
            " AND column_name NOT IN ('delivery_id', 'subscription')"
        )
        await db.execute(
            f"INSERT INTO deliveries (delivery_id, subscription, {names})"  # noqa: S608 - our own names
            f" SELECT gen_random_uuid(), 'sub-' || n, {names}"
            f" FROM deliveries, generate_series(1, {subscriptions - 1}) n WHERE end_time IS NULL",
            timeout=300,
        )
        await db.execute("ANALYZE deliveries", timeout=300)
    finally:
        await db.close()
