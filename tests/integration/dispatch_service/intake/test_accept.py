"""
From published events to committed rows, on SQLite and on PostgreSQL alike.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
import sqlalchemy as sa
from msgspec.structs import replace
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from dispatch_service.delivery.endpoint_queue import Ready
from dispatch_service.delivery.endpoint_queues import Bounds, EndpointQueues
from dispatch_service.delivery.endpoints import Endpoints
from dispatch_service.domain.deliveries import succeed
from dispatch_service.domain.errors import BacklogFull, EventIdReused, EventInvalid
from dispatch_service.domain.work import NewEvent, Receipt, Release, Settlement
from dispatch_service.intake import admission as admission_module
from dispatch_service.intake import prepare as preparation_module
from dispatch_service.intake import render as bodies_module
from dispatch_service.intake.accept import Intake
from dispatch_service.intake.admission import Admission
from dispatch_service.intake.commit import GroupCommitter
from dispatch_service.intake.late_match import Matcher
from dispatch_service.intake.prepare import Prepared
from dispatch_service.intake.pressure import Backlog, Limits
from dispatch_service.intake.skipped import SkippedCounts
from dispatch_service.intake.waiting_events import GROUP_EVENTS
from dispatch_service.log import events as event_store
from dispatch_service.log import read
from dispatch_service.payloads import example_event, render
from dispatch_service.payloads.checks.messages import Fault
from dispatch_service.queue.protocol import Queue
from dispatch_service.resend import late_bodies, resends
from dispatch_service.routing.index import SubscriptionIndex
from dispatch_service.storage import associated_data
from dispatch_service.storage.schema import bodies, deliveries, events, metadata
from dispatch_service.storage.sealing import DayKeys, Sealer
from service_runtime.database.engine import writing
from service_runtime.database.instants import after, database_now
from service_runtime.keys.keyring import KeyRing
from service_runtime.process import failpoints
from service_runtime.rpc.errors import StoreUnavailable
from shipedge.webhooks.events.v1 import event_pb2
from tests.support.dispatch_factories import LEASE, attempt, new_delivery, new_event, subscription

pytestmark = pytest.mark.anyio


FAILED = {
    "state": "FAILED",
    "end_time": database_now(),
    "due_time": None,
    "lease_owner": None,
    "failure_kind": "timeout",
}


@dataclass
class Parts:
    """
    An intake with all that it works with.
    """

    intake: Intake
    admission: Admission
    committer: GroupCommitter
    endpoint_queues: EndpointQueues
    keys: DayKeys
    subscriptions: SubscriptionIndex
    matcher: Matcher
    backlog: Backlog
    dispatched: list[Ready]


@pytest.fixture
async def parts(store: AsyncEngine, queue: Queue) -> AsyncIterator[Parts]:
    """
    Yield a running intake whose deliveries are only noted.
    """
    dispatched: list[Ready] = []

    async def note(ready: Ready) -> bool:
        dispatched.append(ready)
        return False

    ring = KeyRing({"test": b"k" * 32}, b"h" * 32)
    keys = DayKeys(store, ring, lambda: datetime.now(UTC))  # noqa: TID251 - the tests' clock
    release: list[Release] = []
    endpoint_queues = EndpointQueues(note, release.append, Endpoints(8), Bounds(100, 1000))
    backlog = Backlog(store, Limits(most_deliveries=3, least_disk=0))
    index = SubscriptionIndex(received=True, complete=True)
    admission = Admission(index, keys, endpoint_queues)
    committer = GroupCommitter(
        queue, endpoint_queues, LEASE, backlog, SkippedCounts(), admission, most_waiting=50
    )
    intake = Intake(store, keys, admission, committer)
    matcher = Matcher(store, queue, keys, index, LEASE)
    running = asyncio.create_task(committer.run())
    yield Parts(
        intake, admission, committer, endpoint_queues, keys, index, matcher, backlog, dispatched
    )
    committer.stop()
    await running


def shipped(event_id: str, **order: Any) -> event_pb2.Event:
    """
    Make the documented shipped order under another id.
    """
    event = example_event("orders/shipped")
    event.event_id = event_id
    for name, value in order.items():
        setattr(event.order_status_changed.order, name, value)
    return event


async def nothing_held(parts: Parts) -> None:
    """
    Wait, a bounded time, until no delivery has a place in memory, be it a kept one.
    """
    async with asyncio.timeout(10):
        while parts.endpoint_queues.in_memory() or parts.endpoint_queues.full():
            await asyncio.sleep(0.01)


def spoil(parts: Parts, monkeypatch: pytest.MonkeyPatch, *, number: str) -> None:
    """
    Have the events of orders with a *number* come to the store as it does not take them.
    """
    prepare = parts.admission.prepare

    def spoilt(
        given: Sequence[event_pb2.Event], contents: Sequence[bytes], sealer: Sealer
    ) -> list[Prepared]:
        prepared = prepare(given, contents, sealer)
        return [
            replace(it, event=replace(it.event, domain_event=cast(str, None)))
            if event.order_status_changed.order.number == number
            else it
            for event, it in zip(given, prepared, strict=True)
        ]

    monkeypatch.setattr(parts.admission, "prepare", spoilt)


async def count(store: AsyncEngine, table: sa.Table) -> int:
    """
    Count the rows of a table.
    """
    async with store.connect() as db:
        return (await db.execute(sa.select(sa.func.count()).select_from(table))).scalar_one()


async def test_accepted_event_is_committed_and_handed_over(
    parts: Parts, store: AsyncEngine
) -> None:
    """
    After the answer the event, its body and its delivery are stored, and under way.
    """
    parts.subscriptions.put(subscription())

    (answer,) = await parts.intake.accept([shipped("e1")])
    await asyncio.sleep(0)

    assert isinstance(answer, Receipt)
    assert [await count(store, it) for it in (events, bodies, deliveries)] == [1, 1, 1]
    (ready,) = parts.dispatched
    assert ready.claimed.event_id == "e1"
    assert isinstance(ready.body, bytes)
    assert ready.body.startswith(b'{"event":"orders/shipped_v2"')


async def test_body_is_rendered_once_and_sealed(parts: Parts, store: AsyncEngine) -> None:
    """
    Subscriptions of one version share one body, which does not lie in plain text.
    """
    for name in ("a", "b", "c"):
        parts.subscriptions.put(subscription(subscription_id=f"sub-{name}"))

    await parts.intake.accept([shipped("e1")])

    assert await count(store, deliveries) == 3
    async with store.connect() as db:
        (row,) = (await db.execute(sa.select(bodies))).all()
    assert b"customer@example.com" not in row.sealed_body
    associated = associated_data.body("accounts/100", 100, "e1", ("orders/shipped", "v2"))
    assert b"customer@example.com" in await parts.keys.open(row.sealed_body, associated)


async def test_each_event_is_answered_by_itself(parts: Parts) -> None:
    """
    A bad event in a batch is refused; its neighbours are accepted.
    """
    bad = shipped("bad", id=0)

    left, refused, right = await parts.intake.accept([shipped("l"), bad, shipped("r")])

    assert isinstance(left, Receipt)
    assert isinstance(right, Receipt)
    assert isinstance(refused, EventInvalid)
    assert refused.faults[0].field == "order_status_changed.order.id"


async def test_repeat_in_one_batch_gets_the_same_answer(parts: Parts, store: AsyncEngine) -> None:
    """
    The same event twice in a batch is one event.
    """
    first, second = await parts.intake.accept([shipped("e1"), shipped("e1")])

    assert isinstance(first, Receipt)
    assert isinstance(second, Receipt)
    assert first.accept_time == second.accept_time
    assert await count(store, events) == 1


async def test_other_content_under_a_known_id_is_refused(parts: Parts) -> None:
    """
    An id stands for its content.
    """
    await parts.intake.accept([shipped("e1")])

    (answer,) = await parts.intake.accept([shipped("e1", number="ORD-2")])

    assert isinstance(answer, EventIdReused)


async def test_too_much_waiting_is_refused_before_anything_is_done(
    parts: Parts, store: AsyncEngine
) -> None:
    """
    A full backlog refuses the batch with a time to wait.
    """
    with pytest.raises(BacklogFull) as raised:
        await parts.intake.accept([shipped(f"e{n}") for n in range(51)])

    assert raised.value.retry_after is not None
    assert await count(store, events) == 0


async def test_too_much_owed_is_refused_until_it_is_less(parts: Parts, queue: Queue) -> None:
    """
    With as many unfinished deliveries as are borne no event is taken, and the
    publisher is told when to come again; when they have ended events are taken.
    """
    stored = [new_event(new_delivery()) for _ in range(3)]
    await queue.store_events(stored, LEASE)
    await parts.backlog.count()

    with pytest.raises(BacklogFull) as raised:
        await parts.intake.accept([shipped("e1")])

    assert raised.value.retry_after == timedelta(seconds=30)
    for claimed in await queue.claim(LEASE, limit=10, per_endpoint=10, full=()):
        await queue.settle([Settlement(claimed, succeed(0), attempt(claimed), 200)])
    await parts.backlog.count()
    (receipt,) = await parts.intake.accept([shipped("e1")])
    assert isinstance(receipt, Receipt)
    assert receipt.fresh


async def test_little_disk_is_too_much_owed(store: AsyncEngine, tmp_path: Path) -> None:
    """
    Where the database is a file, publishers wait before its disk is full.
    """
    backlog = Backlog(store, Limits(10, least_disk=2**62, file=tmp_path / "dispatch.db"))
    backlog.check()

    await backlog.count()

    with pytest.raises(BacklogFull):
        backlog.check()


async def test_backlog_tells_how_late_the_oldest_is(store: AsyncEngine, queue: Queue) -> None:
    """
    What waits in the table is counted, with the time since the oldest became due.
    """
    backlog = Backlog(store, Limits(10, 0))
    await queue.store_events([new_event(new_delivery())], LEASE)
    async with writing(store) as db:
        due = {"due_time": after(timedelta(minutes=-1))}
        await db.execute(sa.update(deliveries).values(due))

    await backlog.count()

    assert backlog.unfinished == 1
    assert 60 <= backlog.late_seconds < 120


async def test_concurrent_publishes_share_transactions(parts: Parts, store: AsyncEngine) -> None:
    """
    Forty publishes at once need far fewer commits than forty.
    """
    commits = 0
    commit_once = parts.committer.commit_once

    async def counted() -> int:
        nonlocal commits
        commits += 1
        return await commit_once()

    parts.committer.commit_once = counted  # type: ignore[method-assign]
    await asyncio.gather(*(parts.intake.accept([shipped(f"e{n}")]) for n in range(40)))

    assert await count(store, events) == 40
    assert commits <= 4


async def test_event_that_the_store_refuses_fails_alone(
    parts: Parts, store: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    A group that fails is bisected until the bad event stands alone.
    """
    spoil(parts, monkeypatch, number="BAD")

    made = [shipped(f"e{n}", **({"number": "BAD"} if n == 5 else {})) for n in range(8)]
    settled = await parts.intake.accept(made)

    assert [isinstance(it, Receipt) for it in settled] == [n != 5 for n in range(8)]
    assert await count(store, events) == 7


async def test_event_with_the_id_of_one_that_the_store_refuses_is_judged_by_itself(
    parts: Parts, store: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Nothing was stored under the id, so what comes after may have it.
    """
    spoil(parts, monkeypatch, number="BAD")

    refused, stored, repeat = await parts.intake.accept(
        [shipped("e1", number="BAD"), shipped("e1"), shipped("e1")]
    )

    assert isinstance(refused, DBAPIError)
    assert isinstance(stored, Receipt)
    assert isinstance(repeat, Receipt)
    assert stored == replace(repeat, fresh=True)
    assert await count(store, events) == 1


async def test_fault_of_ours_in_the_checks_concerns_one_event(
    parts: Parts, store: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    The others of its group are stored, and the next groups too.
    """

    def check(event: event_pb2.Event, content: bytes) -> list[Fault]:
        if event.event_id == "e1":
            raise ZeroDivisionError
        return []

    monkeypatch.setattr(admission_module, "check", check)

    answers = await parts.intake.accept([shipped(f"e{n}") for n in range(3)])
    answers += await parts.intake.accept([shipped("e3")])

    assert [type(it) for it in answers] == [Receipt, ZeroDivisionError, Receipt, Receipt]
    assert await count(store, events) == 3


async def test_fault_of_ours_in_the_preparation_concerns_one_event(
    parts: Parts, store: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    The others of its group are stored, and no place in memory stays kept.
    """
    parts.subscriptions.put(subscription())
    made = event_store.new_event

    def broken(event: event_pb2.Event, *args: Any, **more: Any) -> NewEvent:
        if event.event_id == "e5":
            raise ZeroDivisionError
        return made(event, *args, **more)

    monkeypatch.setattr(preparation_module, "new_event", broken)

    answers = await parts.intake.accept([shipped(f"e{n}") for n in range(20)])

    assert [isinstance(it, Receipt) for it in answers] == [n != 5 for n in range(20)]
    assert isinstance(answers[5], ZeroDivisionError)
    assert await count(store, events) == 19
    await nothing_held(parts)


async def test_key_that_cannot_be_had_fails_a_group_at_once(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    It is asked for once, whatever waits.
    """
    asked = 0

    async def broken() -> Sealer:
        nonlocal asked
        asked += 1
        raise LookupError

    monkeypatch.setattr(parts.admission, "sealer", broken)

    answers = await parts.intake.accept([shipped(f"e{n}") for n in range(20)])

    assert [type(it) for it in answers] == [LookupError] * 20
    assert asked == 1


async def test_repeats_while_the_store_is_away_are_all_told(
    parts: Parts, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Nobody is left waiting, and no place in memory stays kept.
    """
    parts.subscriptions.put(subscription())

    async def away(*_: Any) -> None:
        raise ConnectionRefusedError(111, "the database is away")

    monkeypatch.setattr(queue, "store_events", away)

    answers = await parts.intake.accept([shipped("e1"), shipped("e1"), shipped("e2")])

    assert [type(it) for it in answers] == [StoreUnavailable] * 3
    await nothing_held(parts)


async def test_test_event_that_is_sent_several_times_at_once_goes_out_once(
    parts: Parts, store: AsyncEngine
) -> None:
    """
    All callers get the same answer, and no place in memory stays kept.
    """
    wanted = subscription()
    parts.subscriptions.put(wanted)
    event = shipped("test-1")

    receipts = await asyncio.gather(
        *(parts.intake.accept_test(event, wanted, "ann") for _ in range(3))
    )

    assert sorted(it.fresh for it in receipts) == [False, False, True]
    assert await count(store, deliveries) == 1
    await nothing_held(parts)


async def test_many_invalid_events_let_others_have_their_turn(parts: Parts) -> None:
    """
    The loop is free between their groups.
    """
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count_turns())
    answers = parts.committer.submit([shipped(f"e{n}", id=0) for n in range(10 * GROUP_EVENTS)])
    await answers.all()
    counting.cancel()

    assert turns >= 10


async def test_events_before_a_snapshot_are_matched_later(parts: Parts, store: AsyncEngine) -> None:
    """
    Without a snapshot events are accepted; with one they are matched, oldest first.
    """
    parts.subscriptions.received = parts.subscriptions.complete = False
    await parts.intake.accept([shipped("early-1")])
    await parts.intake.accept([shipped("early-2")])
    assert await parts.matcher.drain() == 0
    assert await count(store, deliveries) == 0

    parts.subscriptions.put(subscription())
    parts.subscriptions.received = True
    assert await parts.matcher.drain() == 2

    assert parts.subscriptions.complete
    assert await count(store, deliveries) == 2
    await parts.intake.accept([shipped("later")])
    assert await count(store, deliveries) == 3


async def test_nothing_personal_lies_in_plain_text(parts: Parts, store: AsyncEngine) -> None:
    """
    Payloads and URLs do not show in any row.
    """
    parts.subscriptions.put(subscription())
    await parts.intake.accept([shipped("e1")])

    stored = []
    async with store.connect() as db:
        for table in metadata.sorted_tables:
            stored += [str(tuple(row)) for row in await db.execute(sa.select(table))]
    assert len(stored) > 3
    for secret in ("customer@example.com", "John Doe", "123 Main St", "token=secret"):
        assert secret not in "".join(stored)


async def test_resend_renders_what_could_not_be_rendered(parts: Parts, store: AsyncEngine) -> None:
    """
    A delivery that failed for its renderer gets its payload when it is sent again.
    """
    wanted = subscription()
    parts.subscriptions.put(wanted)
    failpoints.arm("render.fail:raise")
    await parts.intake.accept([shipped("unrendered")])
    async with writing(store) as db:
        (found,) = (await db.execute(sa.select(deliveries.c.owner, deliveries.c.delivery_id))).all()
        row = await read.get_delivery(db, found.owner, found.delivery_id)
        assert late_bodies.is_missing(row)
        sealer = await parts.keys.today()
        assert await late_bodies.render(db, parts.keys, sealer, row, wanted)
        # As one that has read the row before that.
        assert await late_bodies.render(db, parts.keys, sealer, row, wanted)
        row = await read.get_delivery(db, found.owner, found.delivery_id)
        body = await read.read_body(db, parts.keys, row)

    assert body == render(shipped("unrendered"), "orders/shipped", "v2")
    assert row is not None
    assert row.sha256 == hashlib.sha256(body or b"").digest()


async def test_renderer_that_changes_leaves_stored_bytes_alone(
    parts: Parts, store: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    What was rendered at accept is what a resend sends, whatever the renderer does now.
    """
    parts.subscriptions.put(subscription())
    await parts.intake.accept([shipped("kept")])
    monkeypatch.setattr(bodies_module, "render", lambda *_: b'{"changed":true}')

    async with writing(store) as db:
        (found,) = (await db.execute(sa.select(deliveries.c.owner, deliveries.c.delivery_id))).all()
        row = await read.get_delivery(db, found.owner, found.delivery_id)
        await db.execute(sa.update(deliveries).values(FAILED))
        ids = [found.delivery_id]
        await resends.make_due(db, found.owner, ids, "ann", timedelta(days=4))
        sent = await read.read_body(db, parts.keys, row)

    assert row is not None
    assert hashlib.sha256(sent or b"").digest() == row.sha256
    assert sent == render(shipped("kept"), "orders/shipped", "v2")
