"""
Lists across owners, on SQLite and on PostgreSQL alike.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from dispatch_service.log import across
from dispatch_service.log.filters import (
    parse_attempt_filter,
    parse_delivery_filter,
    parse_watch_filter,
)
from dispatch_service.log.watches import watch
from dispatch_service.log.watches.watch_poll import Watcher
from dispatch_service.queue.protocol import Queue
from service_runtime.database.engine import reading
from service_runtime.rpc.errors import InvalidArgument
from service_runtime.rpc.paging import Page, PageKey
from tests.integration.dispatch_service.log.test_read import settled
from tests.support.dispatch_factories import LEASE, new_delivery, new_event

pytestmark = pytest.mark.anyio

FAILED = "status != SUCCESS"
ALL_TIME = f'{FAILED} AND start_time >= "2020-01-01T00:00:00Z"'
ACCOUNTS = [f"accounts/{100 + n}" for n in range(7)]
Lister = Callable[..., Awaitable[Page[Any]]]


@pytest.fixture
async def filled(queue: Queue, store: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> AsyncEngine:
    """
    Return a store in which seven accounts and a warehouse have failures, taking turns, and each
    has successes. Two owners are read at a time.
    """
    monkeypatch.setattr(across, "OWNERS", 2)
    for n in range(3):
        for owner in [*ACCOUNTS, "warehouses/wh1"][n:]:
            made = [new_delivery(owner=owner, subscription=f"s{n}", leased=True)]
            await settled(queue, new_event(*made), failed=True)
            await settled(queue, new_event(*made_again(owner, n)))
    return store


def made_again(owner: str, n: int) -> list[Any]:
    """
    Return a delivery of *owner* that is to succeed.
    """
    return [new_delivery(owner=owner, subscription=f"t{n}", leased=True)]


async def pages(
    store: AsyncEngine, lister: Lister, parent: str, comparisons: Any, size: int
) -> list[Any]:
    """
    Return the rows of all pages.
    """
    seen: list[Any] = []
    last: PageKey | None = None
    for _ in range(30):
        async with reading(store) as db:
            page = await lister(
                db, parent, comparisons, hashed=str.encode, size=size, begin_after=last
            )
        seen += page.rows
        last = page.last
        if last is None:
            return seen
    raise AssertionError("the list does not end")


@pytest.mark.slow
@pytest.mark.parametrize("size", [1, 4, 100])
async def test_failed_attempts_of_all_accounts(filled: AsyncEngine, size: int) -> None:
    """
    Pages show each failed attempt of all accounts once, newest first, and none of a warehouse.
    """
    rows = await pages(
        filled, across.list_attempts, "accounts/-", parse_attempt_filter(ALL_TIME), size
    )

    keys = [(row.start_time, row.delivery_id, row.number) for row in rows]
    assert keys == sorted(keys, reverse=True)
    assert sorted(row.owner for row in rows) == sorted(ACCOUNTS + ACCOUNTS[1:] + ACCOUNTS[2:])
    assert {row.status for row in rows} == {"FAILURE"}
    assert len({row.delivery_id for row in rows}) == len(rows)


@pytest.mark.slow
async def test_a_filter_holds_across_owners(filled: AsyncEngine) -> None:
    """
    What else a filter says holds, too, also where it leaves out the newest of an owner.
    """
    comparisons = parse_attempt_filter(f"{ALL_TIME} AND subscription = s0")
    rows = await pages(filled, across.list_attempts, "accounts/-", comparisons, 3)
    none = parse_attempt_filter(f'{FAILED} AND start_time >= "2099-01-01T00:00:00Z"')

    assert sorted(row.owner for row in rows) == ACCOUNTS
    assert not await pages(filled, across.list_attempts, "accounts/-", none, 3)
    assert len(await pages(filled, across.list_attempts, "warehouses/-", comparisons, 3)) == 1


@pytest.mark.slow
@pytest.mark.parametrize("size", [1, 4, 100])
async def test_failed_deliveries_of_all_accounts(filled: AsyncEngine, size: int) -> None:
    """
    Failed deliveries are listed likewise.
    """
    failed = parse_delivery_filter("state = FAILED")
    rows = await pages(filled, across.list_deliveries, "accounts/-", failed, size)

    keys = [(row.create_time, row.delivery_id) for row in rows]
    assert keys == sorted(set(keys), reverse=True)
    assert sorted(row.owner for row in rows) == sorted(ACCOUNTS + ACCOUNTS[1:] + ACCOUNTS[2:])


@pytest.mark.slow
async def test_unfinished_deliveries_of_all_accounts(filled: AsyncEngine, queue: Queue) -> None:
    """
    Deliveries that wait are listed, those of accounts alone.
    """
    waiting = [new_delivery(owner=it) for it in (ACCOUNTS[0], ACCOUNTS[3], "warehouses/wh1")]
    await queue.insert([new_event(it) for it in waiting], LEASE)
    pending = parse_delivery_filter("state = PENDING")

    rows = await pages(filled, across.list_deliveries, "accounts/-", pending, 1)

    assert sorted(row.owner for row in rows) == [ACCOUNTS[0], ACCOUNTS[3]]


@pytest.mark.parametrize(
    "source", ["", "status = SUCCESS", "status != FAILURE", "response_code = 200", "trigger = TEST"]
)
def test_attempts_that_need_a_filter(source: str) -> None:
    """
    A filter that lets successes through is refused, and the error says what is needed.
    """
    with pytest.raises(InvalidArgument) as caught:
        across.check_attempts(parse_attempt_filter(source))

    (fault,) = caught.value.faults
    assert (fault.field, "status != SUCCESS" in fault.description) == ("filter", True)


@pytest.mark.parametrize(
    "source",
    ["status = FAILURE", "status = INTERRUPTED", "response_code = 503", "failure_kind = TIMEOUT"],
)
def test_filters_of_failures(source: str) -> None:
    """
    Every filter that chooses failures alone is taken.
    """
    across.check_attempts(parse_attempt_filter(source))


@pytest.mark.parametrize("source", ["", "state = SUCCEEDED", "state != SUCCEEDED"])
async def test_deliveries_that_need_a_filter(store: AsyncEngine, source: str) -> None:
    """
    Deliveries across owners need a state that few of them have.
    """
    with pytest.raises(InvalidArgument):
        await pages(store, across.list_deliveries, "accounts/-", parse_delivery_filter(source), 10)


async def test_watching_all_accounts(filled: AsyncEngine) -> None:
    """
    A watch across owners reads the failures of all accounts, and is told of each of them.
    """
    begin = watch.Mark(datetime(2000, 1, 1, tzinfo=UTC))
    end = datetime(2099, 1, 1, tzinfo=UTC)
    comparisons = parse_watch_filter(FAILED)
    rows, _ = await watch.read(filled, "accounts/-", comparisons, str.encode, begin, end)
    watcher = Watcher("accounts/-", None)

    assert sorted(row.owner for row in rows) == sorted(ACCOUNTS + ACCOUNTS[1:] + ACCOUNTS[2:])
    assert watcher.is_of({"warehouses/wh1", "accounts/7"})
    assert not watcher.is_of({"warehouses/wh1"})
