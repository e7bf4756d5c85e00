"""
From published events to their answers, on SQLite and on PostgreSQL alike.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from dispatch_service.domain.errors import BacklogFull, EventIdReused, EventInvalid
from dispatch_service.domain.transitions import succeed
from dispatch_service.domain.work import Receipt, Settlement
from dispatch_service.intake.prepare import SampleRequest
from dispatch_service.queue.protocol import Queue
from dispatch_service.storage import associated_data
from dispatch_service.storage.schema import bodies, deliveries, events, metadata
from tests.support.dispatch_factories import LEASE, attempt, new_delivery, new_event, subscription
from tests.support.figures import moved
from tests.support.running_intake import RunningIntake, count, shipped

pytestmark = pytest.mark.anyio


async def test_accepted_event_is_committed_and_dispatched(
    intake: RunningIntake, store: AsyncEngine
) -> None:
    """
    After the answer the event, its body and its delivery are stored, and under way.
    """
    intake.subscriptions.put(subscription())

    (answer,) = await intake.accept(shipped("e1"))
    await asyncio.sleep(0)

    assert isinstance(answer, Receipt)
    assert [await count(store, it) for it in (events, bodies, deliveries)] == [1, 1, 1]
    (ready,) = intake.dispatched
    assert ready.claimed.event_id == "e1"
    assert isinstance(ready.body, bytes)
    assert ready.body.startswith(b'{"event":"orders/shipped_v2"')


async def test_body_is_rendered_once_and_sealed(intake: RunningIntake, store: AsyncEngine) -> None:
    """
    Subscriptions of one version share one body, which is not stored in plain text.
    """
    for name in ("a", "b", "c"):
        intake.subscriptions.put(subscription(subscription_id=f"sub-{name}"))

    await intake.accept(shipped("e1"))

    assert await count(store, deliveries) == 3
    async with store.connect() as db:
        (row,) = (await db.execute(sa.select(bodies))).all()
    assert b"customer@example.com" not in row.sealed_body
    associated = associated_data.body("accounts/100", 100, "e1", ("orders/shipped", "v2"))
    assert b"customer@example.com" in await intake.keys.open(row.sealed_body, associated)


async def test_nothing_personal_is_stored_in_plain_text(
    intake: RunningIntake, store: AsyncEngine
) -> None:
    """
    Payloads and URLs do not show in any row.
    """
    intake.subscriptions.put(subscription())
    await intake.accept(shipped("e1"))

    stored = []
    async with store.connect() as db:
        for table in metadata.sorted_tables:
            stored += [str(tuple(row)) for row in await db.execute(sa.select(table))]
    assert len(stored) > 3
    for secret in ("customer@example.com", "John Doe", "123 Main St", "token=secret"):
        assert secret not in "".join(stored)


async def test_each_event_is_answered_by_itself(intake: RunningIntake) -> None:
    """
    A bad event in a batch is refused; its neighbours are accepted.
    """
    bad = shipped("bad", id=0)

    with (
        moved("webhooks_events_accepted_total") as accepted_events,
        moved("webhooks_events_refused_total", reason="EVENT_INVALID") as refused_events,
        moved("webhooks_batch_items_sum", kind="commit") as committed,
    ):
        left, refused, right = await intake.accept(shipped("l"), bad, shipped("r"))

    assert (accepted_events(), refused_events(), committed()) == (2, 1, 2)

    assert isinstance(left, Receipt)
    assert isinstance(right, Receipt)
    assert isinstance(refused, EventInvalid)
    assert refused.faults[0].field == "order_status_changed.order.id"


async def test_repeat_in_one_batch_gets_the_same_answer(
    intake: RunningIntake, store: AsyncEngine
) -> None:
    """
    The same event twice in a batch is one event.
    """
    first, second = await intake.accept(shipped("e1"), shipped("e1"))

    assert isinstance(first, Receipt)
    assert isinstance(second, Receipt)
    assert first.accept_time == second.accept_time
    assert await count(store, events) == 1


async def test_repeat_of_a_stored_event_is_not_dispatched_again(
    intake: RunningIntake, store: AsyncEngine
) -> None:
    """
    It gets the first one's receipt, and the slot of its delivery is returned.
    """
    intake.subscriptions.put(subscription())
    (first,) = await intake.accept(shipped("e1"))

    (second,) = await intake.accept(shipped("e1"))

    assert isinstance(first, Receipt)
    assert isinstance(second, Receipt)
    assert (first.fresh, second.fresh) == (True, False)
    assert first.accept_time == second.accept_time
    assert await count(store, deliveries) == 1
    await intake.nothing_held()
    assert len(intake.dispatched) == 1


async def test_other_content_under_a_known_id_is_refused(intake: RunningIntake) -> None:
    """
    An id stands for its content.
    """
    await intake.accept(shipped("e1"))

    (answer,) = await intake.accept(shipped("e1", number="ORD-2"))

    assert isinstance(answer, EventIdReused)


async def test_too_many_waiting_events_are_refused_before_anything_is_done(
    intake: RunningIntake, store: AsyncEngine
) -> None:
    """
    The batch is refused as a whole, with a time to wait.
    """
    with pytest.raises(BacklogFull) as raised:
        await intake.accept(*(shipped(f"e{n}") for n in range(51)))

    assert raised.value.retry_after is not None
    assert await count(store, events) == 0


async def test_too_many_unfinished_deliveries_refuse_events(
    intake: RunningIntake, queue: Queue
) -> None:
    """
    The publisher learns when to come again; once the deliveries have ended events are taken.
    """
    stored = [new_event(new_delivery()) for _ in range(3)]
    await queue.insert(stored, LEASE)
    await intake.backlog.count()

    with pytest.raises(BacklogFull) as raised:
        await intake.accept(shipped("e1"))

    assert raised.value.retry_after == timedelta(seconds=30)
    for claimed in await queue.claim(LEASE, limit=10, per_endpoint=10, full=()):
        await queue.settle([Settlement(claimed, succeed(0), attempt(claimed), 200)])
    await intake.backlog.count()
    (receipt,) = await intake.accept(shipped("e1"))
    assert isinstance(receipt, Receipt)
    assert receipt.fresh


async def test_sample_that_is_sent_several_times_at_once_goes_out_once(
    intake: RunningIntake, store: AsyncEngine
) -> None:
    """
    All callers get the same answer, and no slot in memory stays reserved.
    """
    wanted = subscription()
    intake.subscriptions.put(wanted)
    request = SampleRequest(wanted, "ann")

    receipts = await asyncio.gather(
        *(intake.acceptor.accept_sample(shipped("test-1"), request) for _ in range(3))
    )

    assert sorted(it.fresh for it in receipts) == [False, False, True]
    assert await count(store, deliveries) == 1
    await intake.nothing_held()
    (ready,) = intake.dispatched
    assert (ready.claimed.requested_by, ready.claimed.test) == ("ann", True)
