"""
What a change of a subscription does to all that waits for it, on SQLite and on PostgreSQL alike.
"""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from dispatch_service.domain.transitions import succeed
from dispatch_service.domain.work import Settlement
from dispatch_service.feed import backlog_statements, backlog_updater, snapshot
from dispatch_service.feed.backlog_updater import MARGIN, BacklogUpdater
from dispatch_service.feed.backlog_updates import BacklogAction, BacklogUpdate
from dispatch_service.queue.protocol import Queue
from dispatch_service.storage.schema import backlog_updates as updates_table
from service_runtime.database.engine import reading, writing
from service_runtime.database.instants import after
from shipedge.webhooks.config.v1 import (
    subscription_pb2,
)
from shipedge.webhooks.feed.v1 import (
    feed_service_pb2,
)
from tests.support.backlog_update_checks import (
    NAME,
    RING,
    apply_updates,
    change_status,
    record,
    recorded,
    rows_of,
    store_change,
    suspended,
    wait_for,
)
from tests.support.dispatch_factories import LEASE, claimed_of, new_delivery, new_event

pytestmark = pytest.mark.anyio


async def test_deletion_is_followed_in_batches(
    queue: Queue, store: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    The deletion itself touches no delivery; afterwards all that wait are cancelled, those in
    sequences with their sequences. One that is being sent ends by its result.
    """
    monkeypatch.setattr(backlog_updater, "BATCH", 2)
    monkeypatch.setattr(backlog_updater, "SEQUENCES", 1)
    await wait_for(queue, 3)
    ordered = [new_event(new_delivery(ordered=True), resource=f"orders/{n % 2}") for n in range(4)]
    sent = new_event(new_delivery(ordered=True, leased=True), resource="orders/9")
    await queue.insert([*ordered, sent], LEASE)

    await store_change(store, feed_service_pb2.FeedChange(revision=2, deleted_name=NAME))
    assert {it.state for it in await rows_of(store)} == {"PENDING", "DELIVERING"}
    assert await apply_updates(store) == 8

    rows = await rows_of(store)
    assert sorted(it.state for it in rows) == ["CANCELLED"] * 7 + ["DELIVERING"]
    cancelled = [it for it in rows if it.state == "CANCELLED"]
    assert {(it.due_time, it.failure_kind) for it in cancelled} == {(None, "subscription_deleted")}
    await queue.settle([Settlement(claimed_of(sent), succeed(0), None)])
    assert [it.state for it in await rows_of(store)].count("SUCCEEDED") == 1


async def test_undeletion_saves_what_is_not_cancelled_yet(queue: Queue, store: AsyncEngine) -> None:
    """
    The newest revision decides: what a cancellation has not come to goes on.
    """
    await wait_for(queue, 2)
    await store_change(store, feed_service_pb2.FeedChange(revision=2, deleted_name=NAME))
    await change_status(store, 3, subscription_pb2.Subscription.STATUS_ACTIVE)

    assert await apply_updates(store) == 0

    assert len(await queue.claim(LEASE, limit=9, per_endpoint=9, full=())) == 2


async def test_what_waits_follows_the_url(queue: Queue, store: AsyncEngine) -> None:
    """
    What waits moves to the new endpoint and keeps its time; what is blocked in a sequence
    stays blocked.
    """
    ordered = [new_event(new_delivery(ordered=True)) for _ in range(2)]
    await queue.insert([new_event(new_delivery()), *ordered], LEASE)
    before = await rows_of(store)

    change = feed_service_pb2.FeedChange(revision=2)
    change.subscription.subscription.name, change.subscription.subscription.url = (
        NAME,
        "https://elsewhere.example:443",
    )
    change.subscription.subscription.status = subscription_pb2.Subscription.STATUS_ACTIVE
    change.subscription.subscription.ordered = True
    await store_change(store, change)
    assert await apply_updates(store) == 3

    after_it = await rows_of(store)
    assert {it.endpoint for it in after_it} == {"https://elsewhere.example:443"}
    assert [it.due_time for it in after_it] == [it.due_time for it in before]
    assert sum(it.due_time is None for it in after_it) == 1
    assert await apply_updates(store) == 0


async def test_inactive_subscription_is_suspended_at_its_new_endpoint(
    queue: Queue, store: AsyncEngine
) -> None:
    """
    A change of two things at once is applied as a whole.
    """
    await wait_for(queue, 2)
    change = feed_service_pb2.FeedChange(revision=2)
    change.subscription.subscription.name, change.subscription.subscription.url = (
        NAME,
        "https://elsewhere.example:443",
    )
    change.subscription.subscription.status = subscription_pb2.Subscription.STATUS_INACTIVE
    await store_change(store, change)

    assert await apply_updates(store) == 2

    assert await suspended(store) == 2
    assert {it.endpoint for it in await rows_of(store)} == {"https://elsewhere.example:443"}


async def test_only_subscriptions_with_a_backlog_are_recorded(
    queue: Queue, store: AsyncEngine
) -> None:
    """
    A subscription for which nothing waits costs no row, however many change at once.
    """
    await wait_for(queue, 2)
    ended = new_event(new_delivery(subscription="ended", leased=True))
    await queue.insert([ended], LEASE)
    await queue.settle([Settlement(claimed_of(ended), succeed(0), None)])
    names = ["shipped", "ended", *(f"sub-{n}" for n in range(600))]
    changes = [
        feed_service_pb2.FeedChange(revision=2, deleted_name=f"accounts/100/subscriptions/{it}")
        for it in names
    ]
    async with writing(store) as db:
        await snapshot.store_changes(db, changes, RING, lambda url: url)

    assert await recorded(store) == [
        BacklogUpdate("accounts/100", "shipped", 2, BacklogAction.CANCEL)
    ]


async def test_what_comes_after_an_undeletion_is_not_cancelled(
    queue: Queue, store: AsyncEngine
) -> None:
    """
    A deletion that was applied is not applied again where a newer revision is stored, though
    nothing was waiting when that came.
    """
    await wait_for(queue, 2)
    await store_change(store, feed_service_pb2.FeedChange(revision=2, deleted_name=NAME))
    assert await apply_updates(store) == 2
    await change_status(store, 3, subscription_pb2.Subscription.STATUS_ACTIVE)
    await wait_for(queue, 1)

    async with writing(store) as db:
        past = after(-LEASE.duration - MARGIN - timedelta(seconds=1))
        await db.execute(sa.update(updates_table).values(create_time=past, due_time=past))
    assert await apply_updates(store) == 0

    assert len(await queue.claim(LEASE, limit=9, per_endpoint=9, full=())) == 1
    async with reading(store) as db:
        assert (await db.execute(sa.select(updates_table))).all() == []


async def test_update_of_an_outdated_revision_does_nothing(
    queue: Queue, store: AsyncEngine
) -> None:
    """
    What was recorded for a revision after a newer one was stored is dropped.
    """
    await change_status(store, 3, subscription_pb2.Subscription.STATUS_ACTIVE)
    await wait_for(queue, 1)
    await record(store, BacklogUpdate("accounts/100", "shipped", 2, BacklogAction.SUSPEND))

    assert await apply_updates(store) == 0

    assert await suspended(store) == 0


async def test_deep_sequence_is_emptied_from_its_end(
    queue: Queue, store: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    However many wait about one resource, a transaction takes a few of them, and what is left
    is a sequence with the same head.
    """
    monkeypatch.setattr(backlog_updater, "BATCH", 2)
    monkeypatch.setattr(backlog_updater, "TURN", 4)
    made = [new_event(new_delivery(ordered=True)) for _ in range(7)]
    await queue.insert(made, LEASE)
    await record(
        store, BacklogUpdate("accounts/100", "shipped", 2, BacklogAction.RESUME, ordered=False)
    )

    assert await BacklogUpdater(store, LEASE.duration, lambda: None).run_once() == 4
    left = [it for it in await rows_of(store) if it.sequence_position is not None]
    assert {it.event_id for it in left} == {it.event_id for it in made[:3]}
    assert [it.due_time is not None for it in left] == [True, False, False]

    assert await apply_updates(store) == 3
    assert len(await queue.claim(LEASE, limit=9, per_endpoint=9, full=())) == 7


async def test_update_that_fails_stops_no_other(
    queue: Queue, store: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    The others of its round are applied.
    """
    await wait_for(queue, 1)
    await queue.insert([new_event(new_delivery(subscription="other"))], LEASE)
    await record(store, BacklogUpdate("accounts/100", "other", 1, BacklogAction.SUSPEND))
    await record(store, BacklogUpdate("accounts/100", "shipped", 1, BacklogAction.SUSPEND))
    find = backlog_statements.find

    async def broken(db: AsyncConnection, update: BacklogUpdate, limit: int) -> list[str]:
        if update.subscription == "other":
            raise ZeroDivisionError
        return await find(db, update, limit)

    monkeypatch.setattr(backlog_statements, "find", broken)
    await apply_updates(store)

    assert await suspended(store) == 1
