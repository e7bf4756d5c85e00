"""
How a refused batch is split until its bad items stand alone.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatch_service.domain.bisect import Bisection


def written(batch: Sequence[int], bad: Collection[int]) -> tuple[list[int], list[int], int]:
    """
    Write a batch to a store that refuses *bad* items; return what was written, what was
    refused alone, and the number of tries.
    """
    stored: list[int] = []
    refused: list[int] = []
    tries = 0
    parts = Bisection(batch)
    for part in parts:
        tries += 1
        if not any(item in bad for item in part):
            stored += part
        elif not parts.split(part):
            refused += part
    return stored, refused, tries


def test_batch_that_is_taken_is_tried_once() -> None:
    """
    Nothing is split that was not refused.
    """
    assert written(range(500), ()) == (list(range(500)), [], 1)


def test_empty_batch_is_not_tried() -> None:
    """
    There is nothing to write.
    """
    assert written([], ()) == ([], [], 0)


def test_single_item_cannot_be_split() -> None:
    """
    A refused item that stands alone is the caller's to give up.
    """
    parts = Bisection(["bad"])

    assert [(part, parts.split(part)) for part in parts] == [(["bad"], False)]


@pytest.mark.parametrize("bad", [0, 5, 249, 250, 499])
def test_one_bad_item_costs_few_tries(bad: int) -> None:
    """
    Of 500 items the bad one is found in nine steps, two tries each.
    """
    stored, refused, tries = written(range(500), {bad})

    assert refused == [bad]
    assert len(stored) == 499
    assert tries <= 1 + 2 * 9


@given(st.lists(st.integers(), unique=True, max_size=60), st.data())
def test_all_others_are_written_in_order(batch: list[int], data: st.DataObject) -> None:
    """
    Each bad item is refused alone, and what is written keeps the order of the batch.
    """
    bad = data.draw(st.sets(st.sampled_from(batch))) if batch else set()

    stored, refused, _ = written(batch, bad)

    assert stored == [item for item in batch if item not in bad]
    assert refused == [item for item in batch if item in bad]
