"""
What holds for every move of a delivery.
"""

from __future__ import annotations

import re

import pytest

from dispatch_service.domain.transitions import State
from dispatch_service.queue.move import Move
from dispatch_service.queue.moves import MOVES
from dispatch_service.storage.schema import deliveries

ALL = pytest.mark.parametrize("move", MOVES.values(), ids=MOVES)
ENDED = {State.SUCCEEDED, State.FAILED, State.CANCELLED}


@ALL
def test_move_sets_columns_of_the_table(move: Move) -> None:
    """
    A move names no column that the table has not, in no expression.
    """
    read = {name for it in move.columns.values() for name in re.findall(r"@(\w+)", it)}

    assert move.columns.keys() | read <= set(deliveries.c.keys())


@ALL
def test_move_that_changes_the_state_sets_it(move: Move) -> None:
    """
    A move leads to another state only by an expression that names it.
    """
    others = {
        after for before, states in move.steps.items() for after in states if after is not before
    }
    written = move.columns.get("state", "")

    assert not others or "$state" in written or {it for it in others if it in written} == others


@ALL
def test_move_sets_the_end_with_the_state(move: Move) -> None:
    """
    A move between an ended and an unfinished state sets `end_time`, as a CHECK wants it.
    """
    crosses = any(
        (before in ENDED) is not (after in ENDED)
        for before, states in move.steps.items()
        for after in states
    )

    assert not crosses or "end_time" in move.columns
