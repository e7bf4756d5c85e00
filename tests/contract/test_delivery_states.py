"""
The diagram of the states of a delivery shows the table of moves.
"""

from __future__ import annotations

import re
from pathlib import Path

from dispatch_service.domain.transitions import State
from dispatch_service.queue.moves import MOVES

PAGE = (Path(__file__).parent.parent.parent / "docs/delivery_states.md").read_text()
BEGIN = "[*]"


def drawn() -> set[tuple[str, str, str]]:
    """
    Read the arrows of the diagram: for each of the moves beside one, its name and two states.
    """
    (diagram,) = re.findall(r"```mermaid\n(.*?)```", PAGE, re.DOTALL)
    arrows = re.findall(r"^ +(\S+) --> (\w+): (.+)$", diagram, re.MULTILINE)
    return {
        (name, before, after)
        for before, after, label in arrows
        for name in re.sub(r" \([^)]*\)", "", label).split(", ")
    }


def test_every_arrow_has_its_move_and_every_move_its_arrow() -> None:
    """
    The arrows are the steps of the moves, no more and no fewer.
    """
    steps = {
        (move.name, BEGIN if before is None else before.value, after.value)
        for move in MOVES.values()
        for before, states in move.steps.items()
        for after in states
    }

    assert drawn() == steps


def test_every_move_and_every_state_is_explained() -> None:
    """
    The tables of the page have a row for each state and name each move.
    """
    first_cells = re.findall(r"^\| ([^|]+) \|", PAGE, re.MULTILINE)
    named = set(re.findall(r"\w+", " ".join(first_cells)))

    assert named >= MOVES.keys() | {state.value for state in State}
