"""
Lists of accepted events, on SQLite and on PostgreSQL alike.
"""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from dispatch_service.domain.erasure_subjects import order_number_hash
from dispatch_service.log.event_filters import parse_event_filter
from dispatch_service.log.events import get_event, list_events, made_of
from dispatch_service.queue.protocol import Queue
from dispatch_service.storage.rows import EventRow
from dispatch_service.storage.schema import event_keys, events
from service_runtime.database.engine import reading, writing
from service_runtime.database.instants import after
from service_runtime.rpc.callers import EVERY_OWNER
from service_runtime.rpc.errors import InvalidArgument
from service_runtime.rpc.paging import PageKey
from tests.support.dispatch_factories import LEASE, new_delivery, new_event

pytestmark = pytest.mark.anyio

EVER = 'accept_time >= "2020-01-01T00:00:00Z"'


def hashed(purpose: str, value: str) -> bytes:
    """
    Stand for the keyed hash, readably.
    """
    return f"{purpose}:{value}".encode()


@pytest.fixture
async def filled(queue: Queue, store: AsyncEngine) -> AsyncEngine:
    """
    Return a store with events of three accounts, each accepted some minutes before the last.
    """
    number = order_number_hash(hashed, "SO-7")
    theirs = new_delivery(owner="warehouses/wh1", subscription="theirs")
    made = [
        new_event(new_delivery(), event_id="sent", order_id=7, order_number_hash=number),
        new_event(theirs, event_id="theirs", warehouses=["wh1", "wh2"], resource="returns/9"),
        new_event(event_id="unwanted", domain_event="order_refunded", resource="orders/7"),
        new_event(event_id="old", order_id=7, order_number_hash=number, resource="orders/7"),
        new_event(event_id="other", account=200, order_number_hash=number),
        new_event(event_id="another", account=300, matched=False),
    ]
    await queue.insert(made, LEASE)
    async with writing(store) as db:
        for minutes, event in enumerate(made):
            # The fourth is older than what is listed without a bound.
            age = timedelta(days=9 if event.event_id == "old" else 0, minutes=minutes)
            for table in (events, event_keys):
                same = table.c.event_id == event.event_id
                await db.execute(sa.update(table).where(same).values(accept_time=after(-age)))
    return store


async def listed(
    store: AsyncEngine,
    source: str = "",
    parent: str = "accounts/100",
    owners: frozenset[str] = EVERY_OWNER,
    size: int = 2,
) -> list[EventRow]:
    """
    Return the events of all pages.
    """
    seen: list[EventRow] = []
    last: PageKey | None = None
    for _ in range(20):
        async with reading(store) as db:
            page = await list_events(
                db,
                parent,
                parse_event_filter(source),
                hashed=hashed,
                owners=owners,
                size=size,
                begin_after=last,
            )
        seen += page.rows
        last = page.last
        if last is None:
            return seen
    raise AssertionError("the list does not end")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        pytest.param("", ["sent", "theirs", "unwanted"], id="the last days"),
        pytest.param(EVER, ["sent", "theirs", "unwanted", "old"], id="all"),
        pytest.param('accept_time < "2020-01-01T00:00:00Z"', [], id="before all"),
        pytest.param("kind = order_refunded", ["unwanted"], id="kind"),
        pytest.param("kind != order_refunded", ["sent", "theirs"], id="other kinds"),
        pytest.param("resource = returns/9", ["theirs"], id="resource"),
        pytest.param("resource = orders/7", ["old"], id="an order, whenever"),
        pytest.param('order_number = " so-7"', ["sent", "old"], id="order number"),
        pytest.param("order_number = SO-8", [], id="no such order number"),
        pytest.param("has_deliveries = true", ["sent", "theirs"], id="sent to somebody"),
        pytest.param("has_deliveries = FALSE", ["unwanted"], id="sent to nobody"),
    ],
)
async def test_events_of_an_account(filled: AsyncEngine, source: str, expected: list[str]) -> None:
    """
    A filter finds what it says, newest first, page by page.
    """
    assert [it.event_id for it in await listed(filled, source)] == expected


async def test_deliveries_of_other_owners_are_not_counted(filled: AsyncEngine) -> None:
    """
    Who may not access a warehouse does not see that it got an event; who may, does.
    """
    account = frozenset({"accounts/100"})
    sent = "has_deliveries = true"

    assert [it.event_id for it in await listed(filled, sent, owners=account)] == ["sent"]
    both = account | {"warehouses/wh1"}
    assert len(await listed(filled, sent, owners=both)) == 2


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        pytest.param("order_number = so-7", ["sent", "other", "old"], id="order number"),
        pytest.param(
            EVER, ["sent", "theirs", "unwanted", "other", "another", "old"], id="range of time"
        ),
        pytest.param(f"{EVER} AND has_deliveries = true", ["sent", "theirs"], id="sent"),
    ],
)
@pytest.mark.parametrize("size", [1, 4, 100])
async def test_events_of_all_accounts(
    filled: AsyncEngine, source: str, expected: list[str], size: int
) -> None:
    """
    Over all accounts an order's number, or a range of time, finds events.
    """
    found = await listed(filled, source, "accounts/-", size=size)

    assert [it.event_id for it in found] == expected


@pytest.mark.parametrize("source", ["", "kind = order_refunded", 'accept_time < "2099-01-01"'])
async def test_all_accounts_need_a_filter(store: AsyncEngine, source: str) -> None:
    """
    What would read the events of all accounts is refused, and the error says what is needed.
    """
    with pytest.raises(InvalidArgument) as caught:
        await listed(store, source, "accounts/-")

    (fault,) = caught.value.faults
    assert (fault.field, "order_number" in fault.description) == ("filter", True)


async def test_what_was_made_of_events(filled: AsyncEngine) -> None:
    """
    Deliveries are counted by state, those of warehouses for callers who may access these.
    """
    rows = await listed(filled)
    async with reading(filled) as db:
        of_all = await made_of(db, rows, lambda _owner: True)
        of_account = await made_of(db, rows, lambda owner: owner == "accounts/100")

    assert {key: dict(it.counts) for key, it in of_all.items()} == {
        (100, "sent"): {"PENDING": 1},
        (100, "theirs"): {"PENDING": 1},
    }
    assert list(of_account) == [(100, "sent")]
    assert of_account[100, "sent"].event_types == {"orders/shipped"}


async def test_one_event(filled: AsyncEngine) -> None:
    """
    An event is found by its account and id alone.
    """
    async with reading(filled) as db:
        found = await get_event(db, 300, "another")
        none = await get_event(db, 200, "another")

    assert found is not None
    assert (found.match_state, found.content_erased) == ("PENDING_MATCH", False)
    assert none is None
