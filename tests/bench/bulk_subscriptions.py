"""
Many subscriptions at once.

Writes the rows as the config service does, sealed, into its database before it starts: a call
for each subscription would take minutes.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from config_service.rules.signing_keys import new_signing_key
from config_service.rules.subscriptions import normalised
from config_service.settings import Settings
from config_service.store import subscription_store
from config_service.store.schema import feed_items, feed_state, signing_secrets, subscriptions
from config_service.store.signing.secrets import OF_SUBSCRIPTIONS, sealed_keys
from config_service.store.store import Sealing
from config_service.store.subscription_rows import config_columns
from service_runtime.database.engine import create_engine, writing
from service_runtime.database.instants import from_microseconds
from service_runtime.database.migrations import migrate
from service_runtime.rules.signing_secrets import new_secret
from service_runtime.settings.reading import read_settings
from shipedge.webhooks.config.v1.subscription_pb2 import Subscription
from tests.bench.deployment import Preparation

BATCH = 2000

Rows = dict[str, Any]


def filled_with(accounts: Iterable[int], each: int = 1) -> Preparation:
    """
    Return a preparation that gives each account *each* subscriptions to shipped orders.

    All have the URL of the benchmark's receiver.
    """

    async def fill(environment: Mapping[str, str]) -> None:
        names = (
            (f"accounts/{account}", subscription_id(number))
            for account in accounts
            for number in range(each)
        )
        await _fill(environment, names)

    return fill


def subscription_id(number: int) -> str:
    """
    Return the id of the *number*-th subscription of an account, counted from 0.
    """
    return f"sub-{number}"


async def _fill(environment: Mapping[str, str], names: Iterator[tuple[str, str]]) -> None:
    settings = read_settings(Settings, environment)
    await migrate(settings.database(), "config_service")
    engine = create_engine(settings.database(), application_name="benchmark")
    sealing = Sealing(settings.key_ring(), settings.url_rules())
    wanted = normalised(subscription_to(environment["BENCH_RECEIVER_URL"]))
    revision = 0
    try:
        while batch := list(islice(names, BATCH)):
            rows = [
                rows_of(wanted, name, number, sealing)
                for number, name in enumerate(batch, revision + 1)
            ]
            revision += len(batch)
            await _insert(engine, rows, revision)
    finally:
        await engine.dispose()


def subscription_to(url: str) -> Subscription:
    """
    Return the configuration of each subscription.
    """
    return Subscription(
        event_type="orders/shipped",
        payload_version="v2",
        url=url,
        status=Subscription.STATUS_ACTIVE,
    )


def rows_of(
    wanted: Subscription, name: tuple[str, str], revision: int, sealing: Sealing
) -> tuple[Rows, Rows, Rows]:
    """
    Build the rows of a subscription, of its signing secret and of its feed item.
    """
    owner, own_id = name
    now = from_microseconds(time.time_ns() // 1000)
    key = {"owner": owner, "subscription_id": own_id}
    subscription = {
        **key,
        "created_revision": revision,
        "revision": revision,
        "status_reason": "MANUAL",
        "endpoint_health": b"",
        "skipped_event_count": 0,
        "create_time": now,
        "update_time": now,
        **config_columns(wanted, owner, own_id, sealing),
    }
    keys = sealed_keys(
        OF_SUBSCRIPTIONS, new_secret(), new_signing_key(), (*name, "sec_1"), sealing.ring
    )
    secret = {**key, "secret_id": "sec_1", **keys, "create_time": now}
    item = {
        "name": f"{owner}/subscriptions/{own_id}",
        "kind": subscription_store.KIND,
        "revision": revision,
        "deleted": False,
        "change_time": now,
    }
    return subscription, secret, item


async def _insert(
    engine: AsyncEngine, rows: Sequence[tuple[Rows, Rows, Rows]], revision: int
) -> None:
    async with writing(engine) as db:
        tables = (subscriptions, signing_secrets, feed_items)
        for table, of_table in zip(tables, zip(*rows, strict=True), strict=True):
            await db.execute(sa.insert(table), list(of_table))
        await db.execute(sa.update(feed_state).values(revision=revision))
