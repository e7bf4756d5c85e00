"""
One poll of the log for many watches, on SQLite and on PostgreSQL alike.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from dispatch_service.domain.transitions import succeed
from dispatch_service.domain.work import Settlement
from dispatch_service.log.watches import watch, watch_poll
from dispatch_service.log.watches.watch import Mark
from dispatch_service.log.watches.watch_poll import Watcher, WatchPoll
from dispatch_service.queue.protocol import Queue
from service_runtime.rpc.shielded import finish_shielded
from tests.support.dispatch_factories import LEASE, attempt, claimed_of, new_delivery, new_event

pytestmark = pytest.mark.anyio

OWNER = "accounts/100"


@pytest.fixture
async def poll(store: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[WatchPoll]:
    """
    Yield a poll without long pauses; its last look has ended before the store is closed.
    """
    monkeypatch.setattr(watch_poll, "POLL_SECONDS", 0.01)
    yield WatchPoll(store)
    await finish_shielded()


async def settle(queue: Queue) -> str:
    """
    Store and settle an event of `OWNER`; return the id of its delivery.
    """
    event = new_event(new_delivery(leased=True))
    await queue.insert([event], LEASE)
    claimed = claimed_of(event)
    await queue.settle([Settlement(claimed, succeed(0), attempt(claimed), 200)])
    return event.deliveries[0].delivery_id


async def quiet(watcher: Watcher) -> None:
    """
    Wait until a look found nothing new.
    """
    while watcher.unread:
        watcher.unread = False
        await watcher.next()


async def seen_by(store: AsyncEngine, watcher: Watcher, mark: Mark) -> set[str]:
    """
    Read what a watch is told of, until there is something.
    """
    while True:
        before = await watcher.next()
        if not watcher.unread:
            mark = watch.passed(mark, before)
            continue
        watcher.unread = False
        rows, mark = await watch.read(store, watcher.owner, (), str.encode, mark, before)
        if rows:
            return {str(row.delivery_id).replace("-", "") for row in rows}


async def test_only_watches_with_news_read(
    queue: Queue, store: AsyncEngine, poll: WatchPoll
) -> None:
    """
    All watches of an owner see its attempt; those of others are not told of it.
    """
    async with asyncio.timeout(30):
        with (
            poll.joined(OWNER) as one,
            poll.joined(OWNER) as other,
            poll.joined("accounts/200") as elsewhere,
        ):
            for watcher in (one, other, elsewhere):
                await quiet(watcher)
            mark = Mark(await watch.horizon(store))
            delivery = (await settle(queue)).replace("-", "")
            assert await seen_by(store, one, mark) == {delivery}
            assert await seen_by(store, other, mark) == {delivery}
            assert not elsewhere.unread


async def test_watch_that_joins_later_misses_nothing(
    queue: Queue, store: AsyncEngine, poll: WatchPoll
) -> None:
    """
    What settled before it joined is read first, from its own mark on.
    """
    async with asyncio.timeout(30):
        with poll.joined(OWNER) as early:
            await quiet(early)
            mark = Mark(await watch.horizon(store))
            delivery = (await settle(queue)).replace("-", "")
            await seen_by(store, early, mark)
            with poll.joined(OWNER) as late:
                await late.first()
                assert late.unread
                assert await seen_by(store, late, mark) == {delivery}


async def test_poll_rests_without_watches_and_begins_again(poll: WatchPoll) -> None:
    """
    Nothing runs that nobody waits for.
    """
    async with asyncio.timeout(30):
        for _ in range(2):
            with poll.joined(OWNER) as watcher:
                await watcher.first()
            assert poll._task is None


async def test_error_of_a_look_ends_all_watches(
    poll: WatchPoll, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Each raises it in its own call, where it becomes a status.
    """

    async def away(_engine: AsyncEngine) -> datetime:
        raise ConnectionRefusedError

    monkeypatch.setattr(watch_poll, "horizon", away)
    async with asyncio.timeout(30):
        with poll.joined(OWNER) as one, poll.joined("accounts/200") as other:
            for watcher in (one, other):
                with pytest.raises(ConnectionRefusedError):
                    await watcher.next()
