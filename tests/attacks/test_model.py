"""
The judgement of the attack test: what counts as held, and as fast as before.
"""

from __future__ import annotations

import math

import pytest

from tests.attacks.__main__ import ATTACKS, chosen
from tests.attacks.harness import paces
from tests.attacks.harness.model import Verdict


def verdict(*checks: tuple[bool, bool]) -> Verdict:
    """
    Make a verdict of checks: whether each holds, and whether it is one of time.
    """
    made = Verdict()
    for number, (holds, late) in enumerate(checks):
        made.expect(holds, f"check {number}", late=late)
    return made


@pytest.mark.parametrize(
    ("made", "held", "only_late"),
    [
        (verdict(), False, False),
        (verdict((True, False)), True, False),
        (verdict((True, False), (False, False)), False, False),
        (verdict((True, False), (False, True)), False, True),
        (verdict((False, False), (False, True)), False, False),
    ],
)
def test_verdict_is_judged(made: Verdict, *, held: bool, only_late: bool) -> None:
    """
    An attack holds if all that was looked at does; only a late one is repeated.
    """
    assert made.held == held
    assert made.only_late == only_late


def test_what_did_not_hold_stands_first() -> None:
    """
    The line of a verdict begins with what is wrong.
    """
    made = verdict((True, False), (False, True))
    made.note("a remark")

    assert made.text == "NOT: check 1; check 0; a remark"


@pytest.mark.parametrize(
    ("before", "bound"),
    [
        ([0.005] * 300, paces.FLOOR_SECONDS),
        ([0.05] * 300, 0.1),
        ([0.005] * 297 + [1.0] * 3, paces.FLOOR_SECONDS),
        ([0.005] * 296 + [1.0] * 4, 2.0),
        ([], paces.FLOOR_SECONDS),
    ],
)
def test_pace_is_bounded_by_twice_the_baseline(before: list[float], bound: float) -> None:
    """
    The slowest hundredth does not decide, nor what is below the floor.
    """
    assert paces.bound(before) == bound
    assert paces.p99([]) == math.inf


def test_attacks_are_chosen_by_name() -> None:
    """
    The beginning of names chooses; one that matches nothing is refused with the list.
    """
    assert [it.name for it in chosen(["callers.d"])] == ["callers.deleted"]
    assert len({it.name for it in chosen([])}) == len(ATTACKS)
    assert all(it.promise for it in ATTACKS)
    with pytest.raises(ValueError, match=r"there is no attack nothing; there are: requests\."):
        chosen(["nothing"])
