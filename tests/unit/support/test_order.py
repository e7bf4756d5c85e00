"""
The order of tests on several processes.
"""

from __future__ import annotations

import pytest

from tests.support.order import spread


@pytest.mark.parametrize("processes", [1, 2, 3, 4])
@pytest.mark.parametrize("count", [0, 1, 5, 12])
def test_each_process_begins_with_its_share_of_the_long_ones(processes: int, count: int) -> None:
    """
    Nothing is left out; the parts, which are equal, begin with long ones as equally as can be.
    """
    long, short = [f"long {number}" for number in range(count)], list(map(str, range(20)))

    ordered = spread(long, short, processes)

    assert sorted(ordered) == sorted(long + short)
    firsts, at = [], 0
    for number in range(processes):
        size = (len(ordered) - at) // (processes - number)
        part = ordered[at : at + size]
        firsts.append(sum(item in long for item in part))
        assert part[: firsts[-1]] == long[number::processes]
        at += size
    assert sum(firsts) == count


def test_more_long_ones_than_a_part_holds() -> None:
    """
    Nothing is left out either.
    """
    assert sorted(spread("abcde", "", 4)) == list("abcde")
