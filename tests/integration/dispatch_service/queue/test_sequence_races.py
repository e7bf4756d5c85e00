"""
Sequences that several transactions change at once.
"""

from __future__ import annotations

import asyncio

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from dispatch_service.domain.transitions import succeed
from dispatch_service.domain.work import Claimed, NewEvent, Settlement
from dispatch_service.feed.backlog_updates import BacklogAction, BacklogUpdate
from dispatch_service.queue.protocol import Queue
from dispatch_service.routing.index import SubscriptionIndex
from dispatch_service.storage.schema import deliveries, sequences
from dispatch_service.upkeep import repair
from dispatch_service.upkeep.prune_statements import Retention
from dispatch_service.upkeep.schedule import Maintenance
from service_runtime.database.engine import writing
from tests.support.dispatch_factories import LEASE, attempt, claimed_of, new_delivery, new_event
from tests.support.lock_waits import record_and_apply, settle_down

pytestmark = pytest.mark.anyio

SUBSCRIPTION = ("accounts/100", "shipped")
UNORDERED = BacklogUpdate(*SUBSCRIPTION, 1, BacklogAction.RESUME, ordered=False)


def event(resource: str = "orders/1", *, leased: bool = False) -> NewEvent:
    """
    Make an event with one ordered delivery.
    """
    return new_event(new_delivery(ordered=True, leased=leased), resource=resource)


async def claim(queue: Queue) -> list[Claimed]:
    """
    Claim all that is due.
    """
    return list(await queue.claim(LEASE, limit=100, per_endpoint=100, full=()))


async def succeeded(queue: Queue, claimed: Claimed) -> None:
    """
    Settle a delivery as confirmed.
    """
    await queue.settle([Settlement(claimed, succeed(0), attempt(claimed), 200)])


async def delivered(queue: Queue) -> list[str]:
    """
    Deliver all that can be; return the ids of the events in their order.
    """
    seen = []
    while found := await claim(queue):
        for claimed in found:
            await succeeded(queue, claimed)
            seen.append(claimed.event_id)
    return seen


@pytest.mark.parametrize(
    ("update", "state"),
    [
        (UNORDERED, "SUCCEEDED"),
        (BacklogUpdate(*SUBSCRIPTION, 1, BacklogAction.CANCEL), "CANCELLED"),
    ],
)
async def test_publish_that_meets_the_end_of_order_is_not_lost(
    queue: Queue, store: AsyncEngine, update: BacklogUpdate, state: str
) -> None:
    """
    A delivery that is committed while the sequences of its subscription end is sent as any
    other, or cancelled as any other if the subscription is deleted.
    """
    first, late = event(leased=True), event()
    await queue.insert([first], LEASE)

    async with writing(store) as db:
        await queue.insert_into(db, [late], LEASE)
        ending = asyncio.create_task(record_and_apply(store, update))
        await settle_down(store, ending)
    await ending

    await succeeded(queue, claimed_of(first))
    await delivered(queue)
    async with store.connect() as db:
        mine = deliveries.c.event_id == late.event_id
        assert (await db.execute(sa.select(deliveries.c.state).where(mine))).scalar_one() == state


async def test_sequence_that_begins_at_the_end_goes_on(queue: Queue, store: AsyncEngine) -> None:
    """
    A process that has not heard yet that a subscription is unordered goes on in order.
    """
    first, second = event(leased=True), event()

    async with writing(store) as db:
        await queue.insert_into(db, [first], LEASE)
        ending = asyncio.create_task(record_and_apply(store, UNORDERED))
        await settle_down(store, ending)
    await ending
    await queue.insert([second], LEASE)

    await succeeded(queue, claimed_of(first))
    assert await delivered(queue) == [second.event_id]


async def test_leftover_with_a_higher_number_joins_the_sequence(
    queue: Queue, store: AsyncEngine
) -> None:
    """
    Deliveries that were left without their sequence do not keep the next one from advancing.
    """
    left = [event() for _ in range(3)]
    await queue.insert(left, LEASE)
    (head,) = await claim(queue)
    async with writing(store) as db:
        await db.execute(sa.delete(sequences))
    await succeeded(queue, head)
    following = event()
    await queue.insert([following], LEASE)

    assert sorted(await delivered(queue)) == sorted(
        [following.event_id, *(it.event_id for it in left[1:])]
    )


async def test_what_waits_for_nothing_is_found(queue: Queue, store: AsyncEngine) -> None:
    """
    Maintenance repairs sequences that are gone or whose head has ended, in their order, and
    leaves alone what is blocked.
    """
    gone, ended, good = [event() for _ in range(3)], event("orders/2"), event("orders/3")
    behind = event("orders/2")
    await queue.insert([*gone, ended, behind, good, event("orders/3")], LEASE)
    claimed = {it.event_id: it for it in await claim(queue)}
    async with writing(store) as db:
        await db.execute(sa.delete(sequences).where(sequences.c.resource != "orders/3"))
    await succeeded(queue, claimed[gone[0].event_id])
    await succeeded(queue, claimed[ended.event_id])
    async with writing(store) as db:
        row = dict(zip(("owner", "subscription"), SUBSCRIPTION, strict=True))
        numbers = {"resource": "orders/2", "head_number": 1, "next_number": 2}
        await db.execute(sa.insert(sequences).values(**row, **numbers))

    keeper = Maintenance(store, SubscriptionIndex(), Retention())
    assert await keeper.repair_sequences() == 2

    sent = await delivered(queue)
    assert [it for it in sent if it != behind.event_id] == [it.event_id for it in gone[1:]]
    assert behind.event_id in sent
    assert await keeper.repair_sequences() == 0


async def test_search_passes_deep_sequences_by(
    queue: Queue, store: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    The search goes on behind a sequence with more deliveries than it reads at a time.
    """
    monkeypatch.setattr(repair, "BATCH", 2)
    stray = event("orders/9")
    await queue.insert([*(event() for _ in range(5)), event("orders/5"), stray], LEASE)
    last = deliveries.c.resource == "orders/9"
    async with writing(store) as db:
        await db.execute(sa.update(deliveries).where(last).values(due_time=None))

    keeper = Maintenance(store, SubscriptionIndex(), Retention())
    assert await keeper.repair_sequences() == 1

    assert stray.event_id in [it.event_id for it in await claim(queue)]
