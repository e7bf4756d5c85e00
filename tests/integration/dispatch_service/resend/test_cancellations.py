"""
Deliveries that are cancelled by hand.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from dispatch_service.domain.errors import DeliveryEnded
from dispatch_service.domain.outcomes import FailureKind
from dispatch_service.domain.transitions import retry, succeed
from dispatch_service.domain.work import NewEvent, Settlement
from dispatch_service.log import read
from dispatch_service.queue.protocol import Queue
from dispatch_service.resend import cancellations, resends
from dispatch_service.storage.schema import deliveries
from service_runtime.database.engine import reading, writing
from service_runtime.rpc import names
from tests.support.dispatch_factories import LEASE, attempt, claimed_of, new_delivery, new_event

pytestmark = pytest.mark.anyio


async def row_of(store: AsyncEngine, event: NewEvent) -> Any:
    """
    Read the whole row of an event's delivery.
    """
    query = sa.select(deliveries).where(deliveries.c.delivery_id == event.deliveries[0].delivery_id)
    async with reading(store) as db:
        return (await db.execute(query)).one()


async def cancel(store: AsyncEngine, event: NewEvent) -> Any:
    """
    Cancel an event's delivery.
    """
    delivery = event.deliveries[0]
    async with writing(store) as db:
        name = names.delivery(delivery.owner, delivery.delivery_id)
        row = await read.require_delivery(db, name)
        await cancellations.cancel(db, row, "callers/ann")
    return await row_of(store, event)


async def test_waiting_one_ends_at_once(queue: Queue, store: AsyncEngine) -> None:
    """
    A delivery that waits is cancelled and never claimed.
    """
    event = new_event(new_delivery())
    await queue.insert([event], LEASE)

    row = await cancel(store, event)

    assert (row.state, row.due_time, row.cancelled_by) == ("CANCELLED", None, "callers/ann")
    assert row.end_time is not None
    assert await queue.claim(LEASE, limit=10, per_endpoint=10, full=()) == []


async def test_one_that_ended_is_refused(queue: Queue, store: AsyncEngine) -> None:
    """
    What has ended cannot be cancelled.
    """
    event = new_event(new_delivery())
    await queue.insert([event], LEASE)
    await cancel(store, event)

    with pytest.raises(DeliveryEnded):
        await cancel(store, event)


@pytest.mark.parametrize(("succeeds", "state"), [(True, "SUCCEEDED"), (False, "CANCELLED")])
async def test_attempt_under_way_is_not_interrupted(
    queue: Queue, store: AsyncEngine, *, succeeds: bool, state: str
) -> None:
    """
    The attempt that is being made counts; there is none after it.
    """
    event = new_event(new_delivery(leased=True))
    await queue.insert([event], LEASE)

    row = await cancel(store, event)

    assert row.state == "DELIVERING"
    claimed = claimed_of(event)
    again = retry(1, timedelta(), FailureKind.TIMEOUT)
    failed = attempt(claimed, status="FAILURE", failure_kind="timeout", response_code=None)
    result = (succeed(0), attempt(claimed)) if succeeds else (again, failed)
    await queue.settle([Settlement(claimed, *result)])
    row = await row_of(store, event)
    assert (row.state, row.due_time) == (state, None)


async def test_next_of_its_resource_goes_on(queue: Queue, store: AsyncEngine) -> None:
    """
    A cancelled head of an sequence holds nothing up.
    """
    first, second = (new_event(new_delivery(ordered=True)) for _ in range(2))
    await queue.insert([first, second], LEASE)

    await cancel(store, first)

    (claimed,) = await queue.claim(LEASE, limit=10, per_endpoint=10, full=())
    assert claimed.event_id == second.event_id


async def test_resend_of_one_that_succeeded_goes_out(queue: Queue, store: AsyncEngine) -> None:
    """
    A request to cancel an attempt that succeeds does not stop a later resend.
    """
    event = new_event(new_delivery(leased=True))
    await queue.insert([event], LEASE)
    await cancel(store, event)
    claimed = claimed_of(event)
    await queue.settle([Settlement(claimed, succeed(0), attempt(claimed))])

    async with writing(store) as db:
        ids = [claimed.delivery_id]
        await resends.make_due(db, claimed.owner, ids, "callers/ann", timedelta(days=4))

    (again,) = await queue.claim(LEASE, limit=10, per_endpoint=10, full=())
    assert not again.cancelled
