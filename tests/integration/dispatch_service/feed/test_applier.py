"""
Answers of the feed as a dispatch service applies them: what a snapshot lacks, what cannot be
used, and what is of another history.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.testing import capture_logs

from dispatch_service.feed import held, reports, snapshot
from dispatch_service.feed.held import HeldReason
from dispatch_service.feed.position import HistoryChangedError, Position
from dispatch_service.queue.protocol import Queue
from dispatch_service.storage.schema import feed_resources, held_resources
from service_runtime.database.engine import reading, writing
from shipedge.webhooks.config.v1 import subscription_pb2
from shipedge.webhooks.config.v1.endpoint_event_pb2 import EndpointEvent
from shipedge.webhooks.feed.v1.feed_service_pb2 import FeedChange
from tests.support.backlog_update_checks import apply_updates, rows_of, suspended, wait_for
from tests.support.feed_process import (
    BAD_SECRET,
    CREDENTIAL,
    OTHER,
    SHIPPED,
    SIGNING_KEY,
    Process,
    caller,
    credential,
    deleted,
    signing_key,
    subscribed,
)
from tests.support.figures import moved

pytestmark = pytest.mark.anyio


async def held_rows(store: AsyncEngine) -> Mapping[str, str]:
    """
    Return the reasons of held resources.
    """
    async with reading(store) as db:
        rows = await db.execute(sa.select(held_resources.c.name, held_resources.c.reason))
        return {row.name: row.reason for row in rows}


async def reported(store: AsyncEngine) -> list[tuple[str, str, int]]:
    """
    Return the reports: kind, subscription, revision.
    """
    async with reading(store) as db:
        rows = await reports.oldest_reports(db, 100)
    events = [EndpointEvent.FromString(row.report) for row in rows]
    return sorted(
        (EndpointEvent.Kind.Name(it.kind), it.subscription, it.subscription_revision)
        for it in events
    )


async def states(store: AsyncEngine) -> set[tuple[str, str | None]]:
    """
    Return states and kinds of failure of the deliveries.
    """
    return {(row.state, row.failure_kind) for row in await rows_of(store)}


BEFORE = Position(15, b"before")
EMPTY = Position(0, b"empty")


async def test_missing_subscription_is_held_and_comes_back(
    queue: Queue, store: AsyncEngine
) -> None:
    """
    An empty database cancels nothing: deliveries wait, nothing is matched, and with the right
    database everything goes on.
    """
    await wait_for(queue, 3)
    process = Process(store)
    await process.snapshot(BEFORE, subscribed(revision=9), credential(), caller())
    await apply_updates(store)

    await process.snapshot(EMPTY)
    await apply_updates(store)

    assert await suspended(store) == 3
    assert process.matching() == set()
    assert process.index.held == {SHIPPED: 9}
    assert CREDENTIAL in process.index.credentials
    assert process.callers.names() == set()
    assert await held_rows(store) == {SHIPPED: "MISSING", CREDENTIAL: "MISSING"}
    assert await snapshot.stored_names(store) == {SHIPPED, CREDENTIAL}

    await process.snapshot(BEFORE, subscribed(revision=9), credential(), caller())
    await apply_updates(store)

    assert await states(store) == {("PENDING", None)}
    assert await suspended(store) == 0
    assert process.matching() == {SHIPPED}
    assert process.index.held == {}
    assert await held_rows(store) == {SHIPPED: "RETURNED"}
    async with reading(store) as db:
        assert set(await held.missed(db)) == {SHIPPED}


@pytest.mark.slow
async def test_missing_for_too_long_is_cancelled_with_that_reason(
    queue: Queue, store: AsyncEngine
) -> None:
    """
    At the end of the hold the subscription is gone, from the memory of all processes.
    """
    await wait_for(queue, 2)
    process, second = Process(store, hold=timedelta()), Process(store, hold=timedelta(days=1))
    for each in (process, second):
        await each.snapshot(BEFORE, subscribed(revision=9), credential())
        await each.snapshot(EMPTY)

    await process.applier.end_holds()
    await second.applier.end_holds()
    await apply_updates(store)

    assert await states(store) == {("CANCELLED", "missing")}
    assert await snapshot.stored_names(store) == set()
    assert await held_rows(store) == {}
    for each in (process, second):
        assert each.index.names() == set()


async def test_deletion_that_a_snapshot_names_cancels(queue: Queue, store: AsyncEngine) -> None:
    """
    Only a named deletion ends deliveries, also of what is held, whatever its revision.
    """
    await wait_for(queue, 2)
    process = Process(store)
    await process.snapshot(BEFORE, subscribed(revision=9))
    await process.snapshot(EMPTY)
    await apply_updates(store)

    await process.snapshot(Position(3, b"restored"), deleted(revision=2))
    await apply_updates(store)

    assert await states(store) == {("CANCELLED", "subscription_deleted")}
    assert await held_rows(store) == {}
    assert process.index.held == {}


async def test_what_a_restored_database_says_counts_whatever_its_revisions(
    queue: Queue, store: AsyncEngine
) -> None:
    """
    A subscription that was Inactive is Active by an older database: its deliveries go on.
    """
    await wait_for(queue, 2)
    process = Process(store)
    inactive = subscribed(revision=9)
    inactive.subscription.subscription.status = subscription_pb2.Subscription.STATUS_INACTIVE
    await process.snapshot(BEFORE, inactive)
    await apply_updates(store)
    assert await suspended(store) == 2

    await process.snapshot(Position(3, b"restored"), subscribed(revision=2))
    await apply_updates(store)

    assert await suspended(store) == 0
    assert process.matching() == {SHIPPED}


async def test_held_subscriptions_are_held_after_a_restart(store: AsyncEngine) -> None:
    """
    The stored snapshot says what is held.
    """
    process = Process(store)
    await process.snapshot(BEFORE, subscribed(revision=9), subscribed(OTHER))
    await process.snapshot(EMPTY, subscribed(OTHER))

    restarted = Process(store)
    await restarted.applier.load()

    assert restarted.applier.position == EMPTY
    assert restarted.index.held == {SHIPPED: 9}
    assert restarted.matching() == {OTHER}


async def test_alarming_snapshot_is_an_error_in_the_log(store: AsyncEngine) -> None:
    """
    A snapshot that lacks most subscriptions is an error in the log.
    """
    process = Process(store)
    names = [f"accounts/100/subscriptions/sub_{n}" for n in range(12)]
    await process.snapshot(BEFORE, *map(subscribed, names))

    with capture_logs() as logs, moved("webhooks_feed_alarming_snapshots_total") as alarms:
        await process.snapshot(EMPTY)

    (line,) = (it for it in logs if it["event"] == "feed.subscriptions_missing")
    assert (line["log_level"], line["count"], line["subscriptions"]) == ("error", 12, 12)
    assert alarms() == 1


@pytest.mark.parametrize(
    "position", [Position(15, b"other"), Position(14, b"older")], ids=["digest", "revision"]
)
async def test_answer_of_another_history_is_not_applied(
    store: AsyncEngine, position: Position
) -> None:
    """
    A heartbeat is enough to notice that the database of the config service is another one.
    """
    process = Process(store)
    await process.snapshot(BEFORE, subscribed())

    with pytest.raises(HistoryChangedError):
        await process.apply(position, deleted())

    assert process.matching() == {SHIPPED}
    assert process.applier.position == BEFORE


UNKNOWN_KIND = FeedChange(revision=3)
BAD_CREDENTIAL = FeedChange(revision=3)
BAD_CREDENTIAL.credential.name = CREDENTIAL


@pytest.mark.parametrize(
    "bad",
    [
        UNKNOWN_KIND,
        BAD_CREDENTIAL,
        signing_key(3, BAD_SECRET),
        subscribed(OTHER, 3, BAD_SECRET),
    ],
    ids=["unknown kind", "credential", "signing key", "subscription"],
)
async def test_bad_item_stops_no_other(store: AsyncEngine, bad: FeedChange) -> None:
    """
    An item that cannot be used is passed over: when it comes, and when it is loaded again.
    """
    process = Process(store)
    with capture_logs() as logs:
        await process.snapshot(Position(3, b"3"), subscribed(revision=1), bad, credential(2))
        await process.apply(Position(4, b"4"), bad, subscribed(revision=4))

    assert process.applier.position == Position(4, b"4")
    assert process.matching() == {SHIPPED}
    assert process.index.by_name[SHIPPED].revision == 4
    shown = [it for it in logs if it["event"] == "feed.item_set_aside"]
    assert [isinstance(it.get("exc_info"), Exception) for it in shown] == [True]

    restarted = Process(store)
    await restarted.applier.load()

    assert restarted.applier.position == Position(4, b"4")
    assert restarted.matching() == {SHIPPED}


async def test_signing_keys_are_stored_and_forgotten(store: AsyncEngine) -> None:
    """
    They survive a restart; one that is deleted, or cannot be used any more, signs nothing.
    """
    process = Process(store)
    await process.snapshot(Position(1, b"1"), signing_key())
    restarted = Process(store)
    await restarted.applier.load()
    for each in (process, restarted):
        assert len(each.index.signing_keys[SIGNING_KEY].symmetric) == 1
        assert each.index.names() == {SIGNING_KEY}

    await process.apply(Position(2, b"2"), signing_key(2, BAD_SECRET))
    assert process.index.signing_keys == {}
    await process.apply(Position(3, b"3"), signing_key(3))
    assert list(process.index.signing_keys) == [SIGNING_KEY]
    await process.apply(Position(4, b"4"), deleted(SIGNING_KEY, 4))
    assert process.index.names() == set()


async def test_subscription_that_cannot_be_used_is_held_and_reported(
    queue: Queue, store: AsyncEngine
) -> None:
    """
    Nothing is sent for it, nothing of it is given up, and its owner learns of both turns.
    """
    await wait_for(queue, 2)
    process = Process(store)
    await process.snapshot(Position(1, b"1"), subscribed(revision=1))

    await process.apply(Position(2, b"2"), subscribed(revision=2, secret=BAD_SECRET))
    await apply_updates(store)

    assert await suspended(store) == 2
    assert process.matching() == set()
    assert process.index.held == {SHIPPED: 2}
    assert await reported(store) == [("KIND_ERROR", SHIPPED, 2)]

    restarted = Process(store)
    await restarted.applier.load()
    assert restarted.index.held == {SHIPPED: 2}
    assert await reported(store) == [("KIND_ERROR", SHIPPED, 2)]

    await restarted.apply(Position(3, b"3"), subscribed(revision=3))
    await apply_updates(store)

    assert await suspended(store) == 0
    assert restarted.matching() == {SHIPPED}
    assert await reported(store) == [("KIND_ERROR", SHIPPED, 2), ("KIND_RECOVERED", SHIPPED, 3)]
    assert await held_rows(store) == {SHIPPED: "RETURNED"}


async def test_stored_item_that_cannot_be_opened_is_held(queue: Queue, store: AsyncEngine) -> None:
    """
    The service starts with a damaged row, and the others are served.
    """
    await wait_for(queue, 2)
    process = Process(store)
    await process.snapshot(Position(2, b"2"), subscribed(), subscribed(OTHER, 2))
    async with writing(store) as db:
        damaged = sa.update(feed_resources).where(feed_resources.c.name == SHIPPED)
        await db.execute(damaged.values(sealed=b"damaged"))

    restarted = Process(store)
    await restarted.applier.load()
    await apply_updates(store)

    assert restarted.matching() == {OTHER}
    assert restarted.index.held == {SHIPPED: 1}
    assert await suspended(store) == 2
    assert await reported(store) == [("KIND_ERROR", SHIPPED, 1)]


async def test_what_a_newer_version_can_use_is_used_when_it_starts(
    queue: Queue, store: AsyncEngine
) -> None:
    """
    A subscription that the last version could not use is served by the one that can.
    """
    await wait_for(queue, 2)
    process = Process(store)
    await process.snapshot(Position(2, b"2"), subscribed(revision=2))
    async with writing(store) as db:
        await held.record(db, [SHIPPED], HeldReason.UNUSABLE)
        await snapshot.hold_backlogs(db, [SHIPPED])
    await apply_updates(store)
    assert await suspended(store) == 2

    newer = Process(store)
    await newer.applier.load()
    await apply_updates(store)

    assert newer.matching() == {SHIPPED}
    assert await suspended(store) == 0
    assert await reported(store) == [("KIND_RECOVERED", SHIPPED, 2)]


async def test_missed_time_counts_from_the_first_absence(store: AsyncEngine) -> None:
    """
    What comes back and is missing again before its events were matched has missed all of it.
    """
    process = Process(store)
    await process.snapshot(BEFORE, subscribed(revision=9))
    await process.snapshot(EMPTY)
    async with reading(store) as db:
        first = (await db.execute(sa.select(held_resources))).one()
    await process.snapshot(BEFORE, subscribed(revision=9))
    await process.snapshot(EMPTY)

    async with reading(store) as db:
        second = (await db.execute(sa.select(held_resources))).one()
        assert await held.held_now(db) == {SHIPPED: HeldReason.MISSING}
    assert second.missed_since == first.missed_since
    assert second.hold_time > first.hold_time
