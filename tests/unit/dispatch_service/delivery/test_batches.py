"""
Batches that shrink around what the store refuses.
"""

from __future__ import annotations

import asyncio
import time

import pytest
import sqlalchemy as sa

from dispatch_service.delivery.batches import LEAST, MOST, TRIES_ALONE, BisectingBatch, InFlight


class RefusedError(Exception):
    """
    The error of a store for an item that it cannot take.
    """


def never(item: int) -> None:
    """
    Fail: nothing is to be set aside.
    """
    raise AssertionError(item)


def refuse(batch: list[int], bad: set[int]) -> None:
    """
    Refuse a batch with a bad item, as a store does.
    """
    if bad & set(batch):
        raise RefusedError


def write_all(
    waiting: BisectingBatch[int], bad: set[int], most_turns: int = 1000
) -> tuple[list[int], int]:
    """
    Write until nothing waits; return the written items, and how many batches were refused.
    """
    written: list[int] = []
    refused = 0
    for _ in range(most_turns):
        if not waiting.items:
            return written, refused
        try:
            with waiting.next_batch() as batch:
                refuse(list(batch), bad)
                written += batch
        except RefusedError:
            refused += 1
    raise AssertionError(f"{len(waiting.items)} items are still there")


@pytest.mark.parametrize("bad", [set(), {0}, {3}, {999}, {0, 1, 2}, {5, 500, 501, 998}])
def test_refused_items_do_not_hold_others_up(bad: set[int]) -> None:
    """
    All but the refused items are written, in order and once.
    """
    set_aside: list[int] = []
    waiting: BisectingBatch[int] = BisectingBatch(set_aside.append)
    waiting.items.extend(range(1000))

    written, refused = write_all(waiting, bad)

    assert sorted(set_aside) == sorted(bad)
    assert written == [it for it in range(1000) if it not in bad]
    assert refused <= 30 * len(bad)


def test_item_that_fails_by_chance_is_written() -> None:
    """
    An item that is refused fewer times than it is tried alone stays.
    """
    waiting: BisectingBatch[int] = BisectingBatch(never)
    waiting.items.append(7)
    for _ in range(TRIES_ALONE - 1):
        with pytest.raises(RefusedError), waiting.next_batch():
            raise RefusedError

    assert write_all(waiting, set()) == ([7], 0)


def test_batches_that_take_long_are_halved_to_a_least(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Publishers wait for them; a quick one doubles the next.
    """
    seconds = iter([0.0, 9.0] * 5 + [0.0, 0.0] * 5)
    monkeypatch.setattr(time, "monotonic", lambda: next(seconds))
    waiting: BisectingBatch[int] = BisectingBatch(never)
    waiting.items += range(MOST * 10)
    sizes = []
    for _ in range(9):
        with waiting.next_batch() as batch:
            sizes.append(len(batch))

    assert sizes == [MOST, 250, 125, 62, LEAST, LEAST, 100, 200, 400]
    assert waiting.items[0] == sum(sizes)


def test_store_that_is_away_takes_nothing_out() -> None:
    """
    As long as the store does not answer, everything is kept, in batches as large as before.
    """
    waiting: BisectingBatch[int] = BisectingBatch(never)
    waiting.items.extend(range(MOST + 1))
    for _ in range(TRIES_ALONE * 3):
        with pytest.raises(sa.exc.OperationalError), waiting.next_batch():
            raise sa.exc.OperationalError("SETTLE", {}, ConnectionRefusedError())

    assert len(waiting.items) == MOST + 1
    with waiting.next_batch() as batch:
        assert len(batch) == MOST


@pytest.mark.anyio
async def test_what_is_in_flight_is_waited_for_and_nothing_later() -> None:
    """
    A block that begins after the wait has begun does not make it longer.
    """
    in_flight, may_end = InFlight(), asyncio.Event()

    async def work() -> None:
        with in_flight.work():
            await may_end.wait()

    await in_flight.ended()
    first = asyncio.create_task(work())
    await asyncio.sleep(0)
    waiting = asyncio.create_task(in_flight.ended())
    await asyncio.sleep(0)
    with in_flight.work():
        assert not waiting.done()
        may_end.set()
        await first
        await waiting
