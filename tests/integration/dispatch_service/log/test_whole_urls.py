"""
Whole URLs: sealed once for each owner and hash, shown to operators and admins, kept for as long as
the log or the configuration names them.
"""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from dispatch_service.log import read
from dispatch_service.log.whole_urls import whole_urls
from dispatch_service.queue.protocol import Queue
from dispatch_service.storage import urls as recorded
from dispatch_service.storage.schema import urls as table
from dispatch_service.storage.sealed_columns import SEALED_COLUMNS
from dispatch_service.upkeep.prune_statements import prune_urls
from service_runtime.database.engine import reading, writing
from service_runtime.database.instants import after
from service_runtime.keys import rotation
from service_runtime.keys.keyring import KeyRing
from service_runtime.rpc import names
from service_runtime.rpc.callers import Caller, current_caller
from tests.support.dispatch_factories import LEASE, new_delivery, new_event

pytestmark = pytest.mark.anyio

RING = KeyRing({"test": b"k" * 32}, b"h" * 32)
OTHER = KeyRing({"new": b"n" * 32, "test": b"k" * 32}, b"h" * 32)
OWNER = "accounts/100"
URL = "https://example.com/in/key?token=x"
KEY = (OWNER, b"hash of the url")
KEEP = timedelta(days=90)


async def stored(store: AsyncEngine) -> dict[recorded.UrlKey, bytes]:
    """
    Return the rows of the table.
    """
    async with reading(store) as db:
        rows = (await db.execute(sa.select(table))).all()
    return {(row.owner, row.url_hash): row.sealed_url for row in rows}


async def test_a_url_is_sealed_once(store: AsyncEngine) -> None:
    """
    The second time nothing is written; the same hash of another owner is another row.
    """
    await recorded.complete(store, RING, {KEY: URL})
    first = await stored(store)
    other = ("warehouses/7", KEY[1])
    async with writing(store) as db:
        await recorded.record(db, RING, {KEY: URL, other: "https://example.com/other"})

    second = await stored(store)

    assert set(second) == {KEY, other}
    assert second[KEY] == first[KEY]
    assert URL.encode() not in first[KEY]


async def test_many_urls_of_many_owners(store: AsyncEngine) -> None:
    """
    More than one statement's worth of them is recorded and opened.
    """
    wanted = {
        (f"accounts/{n % 300}", n.to_bytes(4, "big")): f"https://example.com/{n}"
        for n in range(2 * recorded.BATCH + 1)
    }

    await recorded.complete(store, RING, wanted)

    async with reading(store) as db:
        assert await recorded.opened(db, RING, wanted) == wanted


async def test_what_does_not_open_is_left_out(store: AsyncEngine) -> None:
    """
    The log is shown without a URL whose key is lost, or that was moved to another row.
    """
    await recorded.complete(store, KeyRing({"lost": b"l" * 32}, b"h" * 32), {KEY: URL})
    moved = (OWNER, b"moved")
    await recorded.complete(store, RING, {moved: URL})
    async with writing(store) as db:
        await db.execute(sa.update(table).where(table.c.url_hash == b"moved").values(url_hash=b"m"))

    async with reading(store) as db:
        assert await recorded.opened(db, RING, [KEY, (OWNER, b"m"), (OWNER, b"no")]) == {}


@pytest.mark.parametrize(
    ("role", "shown"),
    [("admin", URL), ("operator", URL), ("reader", None), ("publisher", None), ("feed", None)],
)
async def test_who_sees_whole_urls(
    queue: Queue, store: AsyncEngine, role: str, shown: str | None
) -> None:
    """
    Operators and those who may configure see them, all others the shown form alone.
    """
    event = new_event(new_delivery())
    await queue.insert([event], LEASE)
    await recorded.complete(store, RING, {KEY: URL})
    token = current_caller.set(Caller("callers/ann", frozenset({role}), frozenset({OWNER})))
    try:
        async with reading(store) as db:
            name = names.delivery(OWNER, event.deliveries[0].delivery_id)
            row = await read.require_delivery(db, name)
            found = await whole_urls(db, RING, [row, row])
    finally:
        current_caller.reset(token)

    assert found.get(KEY) == shown


async def test_keys_rotate(store: AsyncEngine) -> None:
    """
    URLs are wrapped under a new key with all that is sealed.
    """
    await recorded.complete(store, RING, {KEY: URL})
    async with writing(store) as db:
        assert await rotation.rotate(db, OTHER, SEALED_COLUMNS, 100) == (1, 0)
        await rotation.check_keys(db, KeyRing({"new": b"n" * 32}, b"h" * 32), SEALED_COLUMNS)

    async with reading(store) as db:
        assert await recorded.opened(db, OTHER, [KEY]) == {KEY: URL}


async def test_what_nothing_names_is_deleted(queue: Queue, store: AsyncEngine) -> None:
    """
    Old URLs go, except those of attempts that are kept and those that are configured.
    """
    configured, gone = (OWNER, b"configured"), (OWNER, b"gone")
    event = new_event(new_delivery(leased=True))
    await queue.insert([event], LEASE)
    await recorded.complete(store, RING, dict.fromkeys((KEY, configured, gone), URL))
    await attempted(store)
    async with writing(store) as db:
        assert await prune_urls(db, {configured}, KEEP) == 0
        await db.execute(sa.update(table).values(update_time=after(-KEEP)))

    async with writing(store) as db:
        assert await prune_urls(db, {configured}, KEEP) == 2
        assert await prune_urls(db, {configured}, KEEP) == 0

    assert set(await stored(store)) == {KEY, configured}


async def attempted(store: AsyncEngine) -> None:
    """
    Write an attempt of each delivery.
    """
    columns = "account, event_id, subscription, event_type, payload_version, resource"
    async with writing(store) as db:
        await db.execute(
            sa.text(
                f"INSERT INTO attempts (owner, delivery_id, number, {columns}, url_shown, url_hash,"  # noqa: S608 - words of ours
                " attempt_trigger, status, start_time)"
                f" SELECT owner, delivery_id, 1, {columns}, url_shown, url_hash, 'EVENT',"
                " 'SUCCESS', create_time FROM deliveries"
            )
        )
