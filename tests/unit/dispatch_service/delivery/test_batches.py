"""
Batches that shrink around what the store refuses.
"""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from dispatch_service.delivery.batches import MOST, TRIES_ALONE, Lot


class RefusedError(Exception):
    """
    What a store says to an item that it cannot take.
    """


def refuse(batch: list[int], bad: set[int]) -> None:
    """
    Do what a store does to a batch.
    """
    if bad & set(batch):
        raise RefusedError


def write_all(lot: Lot[int], bad: set[int], most_turns: int = 1000) -> tuple[list[int], int]:
    """
    Write until nothing waits; return what was written, and how many batches were refused.
    """
    written: list[int] = []
    refused = 0
    for _ in range(most_turns):
        batch = list(lot.batch())
        if not batch:
            return written, refused
        try:
            with lot.writing(batch):
                refuse(batch, bad)
                written += batch
        except RefusedError:
            refused += 1
    raise AssertionError(f"{len(lot)} items are still there")


@pytest.mark.parametrize("bad", [set(), {0}, {3}, {999}, {0, 1, 2}, {5, 500, 501, 998}])
def test_refused_items_do_not_hold_others_up(bad: set[int]) -> None:
    """
    All but what is refused is written, in order and once.
    """
    lot: Lot[int] = Lot()
    for number in range(1000):
        lot.add(number)

    written, refused = write_all(lot, bad)

    assert written == [it for it in range(1000) if it not in bad]
    assert refused <= 30 * len(bad)


def test_item_that_fails_by_chance_is_written() -> None:
    """
    What is refused less often than it is tried alone stays.
    """
    lot: Lot[int] = Lot()
    lot.add(7)
    for _ in range(TRIES_ALONE - 1):
        with pytest.raises(RefusedError), lot.writing(lot.batch()):
            raise RefusedError

    assert write_all(lot, set()) == ([7], 0)


def test_store_that_is_away_takes_nothing_out() -> None:
    """
    As long as the store does not answer, everything is kept, in batches as large as before.
    """
    lot: Lot[int] = Lot()
    for number in range(MOST + 1):
        lot.add(number)
    for _ in range(TRIES_ALONE * 3):
        with pytest.raises(sa.exc.OperationalError), lot.writing(lot.batch()):
            raise sa.exc.OperationalError("SETTLE", {}, ConnectionRefusedError())

    assert (len(lot), len(lot.batch())) == (MOST + 1, MOST)
