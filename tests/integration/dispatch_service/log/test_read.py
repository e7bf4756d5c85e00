"""
The log and the resend, on SQLite and on PostgreSQL alike.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from dispatch_service.domain.errors import (
    BodyErased,
    DeliverySucceeded,
    SubscriptionDeleted,
    SubscriptionInactive,
)
from dispatch_service.domain.outcomes import FailureKind
from dispatch_service.domain.transitions import fail, retry, succeed
from dispatch_service.domain.work import NewEvent, Settlement
from dispatch_service.log import read
from dispatch_service.log.filters import parse_attempt_filter
from dispatch_service.log.messages import attempt_message, delivery_message
from dispatch_service.queue.protocol import Queue
from dispatch_service.resend import known_requests, resends
from dispatch_service.storage.rows import DeliveryRow
from dispatch_service.storage.schema import bodies, deliveries
from service_runtime.database.engine import reading, writing
from service_runtime.rpc import names
from service_runtime.rpc.errors import InvalidArgument
from service_runtime.rpc.request_ids import RequestIdReused
from tests.support.dispatch_factories import (
    LEASE,
    attempt,
    claimed_of,
    new_delivery,
    new_event,
    subscription,
)

pytestmark = pytest.mark.anyio

OWNER = "accounts/100"
ALL_TIME = 'start_time >= "2020-01-01T00:00:00Z"'


async def settled(queue: Queue, event: NewEvent, *, failed: bool = False) -> NewEvent:
    """
    Store an event whose deliveries are leased, and settle all of them.
    """
    await queue.insert([event], LEASE)
    settlements = []
    for at in range(len(event.deliveries)):
        claimed = claimed_of(event, at)
        record = attempt(claimed)
        if failed:
            record = attempt(claimed, status="FAILURE", failure_kind="timeout", response_code=None)
        moved = fail(0, FailureKind.TIMEOUT) if failed else succeed(0)
        settlements.append(Settlement(claimed, moved, record, record.response_code))
    await queue.settle(settlements)
    return event


async def attempts_of(store: AsyncEngine, where: str = ALL_TIME, **over: Any) -> Any:
    """
    List attempts of account 100.
    """
    asked = {"size": 100, "begin_after": None, "delivery_id": ""} | over
    async with reading(store) as db:
        return await read.list_attempts(
            db,
            OWNER,
            asked.pop("delivery_id"),
            parse_attempt_filter(where),
            hashed=lambda url: url.removeprefix("https://").encode(),
            **asked,
        )


async def test_pages_show_each_attempt_once(queue: Queue, store: AsyncEngine) -> None:
    """
    Pages of a list with equal times overlap nowhere and leave nothing out.
    """
    made = [new_delivery(subscription=f"s{n:02}", leased=True) for n in range(25)]
    await settled(queue, new_event(*made))

    seen: list[str] = []
    last = None
    while True:
        page = await attempts_of(store, size=10, begin_after=last)
        seen += [row.delivery_id for row in page.rows]
        last = page.last
        if last is None:
            break

    assert len(seen) == len(set(seen)) == 25


async def test_pages_of_deliveries(queue: Queue, store: AsyncEngine) -> None:
    """
    Deliveries are paged likewise, newest first.
    """
    for n in range(5):
        await settled(queue, new_event(new_delivery(subscription=f"s{n}", leased=True)))
    seen: list[str] = []
    last = None
    async with reading(store) as db:
        while True:
            page = await read.list_deliveries(
                db, OWNER, (), hashed=str.encode, size=2, begin_after=last
            )
            seen += [row.subscription for row in page.rows]
            last = page.last
            if last is None:
                break

    assert seen == ["s4", "s3", "s2", "s1", "s0"]


async def test_filters_of_the_webhook_log(queue: Queue, store: AsyncEngine) -> None:
    """
    The log is filtered by date, event type, status and URL.
    """
    good = new_event(new_delivery(subscription="good", leased=True))
    bad = new_event(new_delivery(subscription="bad", leased=True, event_type="orders/refund"))
    await settled(queue, good)
    await settled(queue, bad, failed=True)

    async def found(where: str) -> set[str]:
        return {row.subscription for row in (await attempts_of(store, where)).rows}

    assert await found(ALL_TIME) == {"good", "bad"}
    assert await found(f"{ALL_TIME} AND status = FAILURE") == {"bad"}
    assert await found(f'{ALL_TIME} AND event_type = "orders/shipped"') == {"good"}
    assert await found(f'{ALL_TIME} AND url = "https://hash of the url"') == {"good", "bad"}
    assert await found(f'{ALL_TIME} AND url = "https://example.com/*"') == {"good", "bad"}
    assert await found(f'{ALL_TIME} AND url = "https://example.org/"') == set()
    assert await found(f"{ALL_TIME} AND status = STATUS_FAILURE") == {"bad"}
    assert await found(f"{ALL_TIME} AND failure_kind = FAILURE_KIND_TIMEOUT") == {"bad"}
    assert await found('start_time > "2024-01-15T10:30:00Z"') == set()
    assert await found("") == set()  # the attempts of the factories are years old


@pytest.mark.parametrize(
    ("where", "problem"),
    [
        ('event_type = "orders/shiped"', "event_type must be an event type of ListEventTypes"),
        ('url = "example.com/hooks"', "url must be a full URL"),
        ("status = BROKEN", "status must be one of SUCCESS, FAILURE, INTERRUPTED"),
    ],
)
def test_filter_that_can_find_nothing_is_refused(where: str, problem: str) -> None:
    """
    What no row can ever have is an error that names the filter, not an empty list.
    """
    with pytest.raises(InvalidArgument) as raised:
        parse_attempt_filter(where)

    (fault,) = raised.value.faults
    assert fault.field == "filter"
    assert problem in fault.description


async def test_other_owners_see_nothing(queue: Queue, store: AsyncEngine) -> None:
    """
    A list is of its owner alone.
    """
    await settled(queue, new_event(new_delivery(owner="accounts/200", leased=True)))

    assert (await attempts_of(store)).rows == []


async def test_messages_show_the_rows(queue: Queue, store: AsyncEngine) -> None:
    """
    What is shown of a delivery and an attempt is what is stored.
    """
    event = await settled(queue, new_event(new_delivery(leased=True)))
    row = await shown_row(store, event)
    (attempted,) = (await attempts_of(store)).rows

    shown, logged = delivery_message(row, {}), attempt_message(attempted, {})

    assert shown.name == f"{OWNER}/deliveries/dlv_{event.deliveries[0].delivery_id}"
    assert shown.topic == "orders/shipped_v2"
    assert (shown.attempt_count, shown.response_code, shown.body_bytes) == (1, 200, 11)
    assert not shown.HasField("next_attempt_time")
    assert shown.HasField("end_time")
    assert logged.name == f"{shown.name}/attempts/1"
    assert logged.duration.ToTimedelta() == timedelta(microseconds=1500)
    assert not logged.timings.HasField("dns")


async def row_of(store: AsyncEngine, event: NewEvent) -> Any:
    """
    Read the whole row of an event's first delivery.
    """
    query = sa.select(deliveries).where(deliveries.c.delivery_id == event.deliveries[0].delivery_id)
    async with reading(store) as db:
        return (await db.execute(query)).one()


async def shown_row(store: AsyncEngine, event: NewEvent) -> DeliveryRow:
    """
    Read an event's first delivery as the log does.
    """
    async with reading(store) as db:
        name = names.delivery(OWNER, event.deliveries[0].delivery_id)
        return await read.require_delivery(db, name)


async def resent(store: AsyncEngine, event: NewEvent, **over: Any) -> Any:
    """
    Resend an event's first delivery.
    """
    row = await shown_row(store, event)
    delivery_id = event.deliveries[0].delivery_id
    name = names.delivery(OWNER, delivery_id)
    async with writing(store) as db:
        request_id = over.get("request_id", "")
        if not await known_requests.seen(db, OWNER, request_id, resends.METHOD, name):
            resends.checked(name, row, subscription(), force=over.get("force", False))
            await resends.make_due(db, OWNER, [delivery_id], "callers/ann", timedelta(days=4))
    return await row_of(store, event)


async def test_failed_delivery_gets_a_fresh_schedule(queue: Queue, store: AsyncEngine) -> None:
    """
    A failed delivery that is resent is due now, from the first delay; attempt numbers go on.
    """
    event = await settled(queue, new_event(new_delivery(leased=True)), failed=True)

    row = await resent(store, event)

    assert (row.state, row.retries_used, row.next_trigger) == ("PENDING", 0, "RESEND")
    (claimed,) = await queue.claim(LEASE, limit=10, per_endpoint=10, full=())
    assert (claimed.number, claimed.trigger, claimed.requested_by) == (2, "RESEND", "callers/ann")


async def test_forced_resend_of_a_success(queue: Queue, store: AsyncEngine) -> None:
    """
    A delivery that succeeded is attempted once more with `force`, and stays a success.
    """
    event = await settled(queue, new_event(new_delivery(leased=True)))
    with pytest.raises(DeliverySucceeded):
        await resent(store, event)

    row = await resent(store, event, force=True)
    assert row.state == "SUCCEEDED"
    (claimed,) = await queue.claim(LEASE, limit=10, per_endpoint=10, full=())
    again = attempt(claimed, status="FAILURE", failure_kind="timeout", response_code=None)
    await queue.settle([Settlement(claimed, succeed(0), again)])

    row = await row_of(store, event)
    assert (row.state, row.due_time, row.attempt_count) == ("SUCCEEDED", None, 2)


async def test_pending_delivery_becomes_due_now(queue: Queue, store: AsyncEngine) -> None:
    """
    A delivery that waits for its next attempt does not wait any more, and a failure
    of that attempt uses up no further delay of the schedule.
    """
    event = new_event(new_delivery(leased=True))
    await queue.insert([event], LEASE)
    leased = claimed_of(event)
    failed = attempt(leased, status="FAILURE", failure_kind="timeout")
    await queue.settle(
        [Settlement(leased, retry(1, timedelta(hours=5), FailureKind.TIMEOUT), failed)]
    )

    await resent(store, event)

    (claimed,) = await queue.claim(LEASE, limit=10, per_endpoint=10, full=())
    assert (claimed.number, claimed.retries_used) == (2, 0)


async def test_request_id_makes_it_idempotent(queue: Queue, store: AsyncEngine) -> None:
    """
    A repeated call changes nothing; the id of another delivery's call is refused.
    """
    first = await settled(queue, new_event(new_delivery(leased=True)), failed=True)
    other = await settled(queue, new_event(new_delivery(leased=True)), failed=True)
    await resent(store, first, request_id="one")
    (claimed,) = await queue.claim(LEASE, limit=10, per_endpoint=10, full=())

    again = await resent(store, first, request_id="one")

    assert again.lease_token == claimed.token
    with pytest.raises(RequestIdReused):
        await resent(store, other, request_id="one")


async def test_resend_of_what_was_given_up_forgets_its_end(
    queue: Queue, store: AsyncEngine
) -> None:
    """
    What a delivery ended with is not shown while it goes out again, nor does it
    stand in its sequence any more.
    """
    event = await settled(queue, new_event(new_delivery(leased=True, ordered=True)), failed=True)

    row = await resent(store, event)

    assert (row.failure_kind, row.response_code, row.end_time) == (None, None, None)
    assert (row.cancelled_by, row.sequence_position) == (None, None)


@pytest.mark.parametrize(
    ("wanted", "error"),
    [
        (None, SubscriptionDeleted),
        (subscription(deleted=True), SubscriptionDeleted),
        (subscription(active=False), SubscriptionInactive),
    ],
)
async def test_resend_needs_an_active_subscription(
    queue: Queue, store: AsyncEngine, wanted: Any, error: type[Exception]
) -> None:
    """
    Nothing is resent to a subscription that is Inactive or deleted.
    """
    event = await settled(queue, new_event(new_delivery(leased=True)), failed=True)
    row = await shown_row(store, event)

    with pytest.raises(error):
        resends.checked("the delivery", row, wanted, force=False)


async def test_resend_needs_its_payload(queue: Queue, store: AsyncEngine) -> None:
    """
    An erased payload cannot be sent again.
    """
    event = await settled(queue, new_event(new_delivery(leased=True)), failed=True)
    async with writing(store) as db:
        await db.execute(sa.delete(bodies))
    row = await shown_row(store, event)

    with pytest.raises(BodyErased):
        resends.checked("the delivery", row, subscription(), force=False)


async def test_state_machine_is_guarded_by_the_database(queue: Queue, store: AsyncEngine) -> None:
    """
    The CHECK constraints refuse what no constructor makes.
    """
    event = await settled(queue, new_event(new_delivery(leased=True)))
    broken: list[dict[str, Any]] = [
        {"state": "PENDING"},
        {"state": "DELIVERING", "end_time": None},
        {"state": "UNKNOWN"},
        {"lease_owner": "somebody"},
        {"attempt_count": -1},
    ]
    for values in broken:
        with pytest.raises(sa.exc.IntegrityError):
            async with writing(store) as db:
                await db.execute(sa.update(deliveries).values(values))

    assert (await row_of(store, event)).state == "SUCCEEDED"
