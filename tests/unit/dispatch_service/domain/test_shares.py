"""
What one owner may have of what all share.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatch_service.domain.shares import Capacity, OwnerCounts, kept_beside, kept_within


@pytest.mark.parametrize(
    ("total", "held", "more", "allowed"),
    [
        (0, 0, 1, True),
        (99, 99, 1, True),  # a lone owner may have all that is common
        (100, 100, 1, False),
        (100, 24, 1, True),  # one that holds little goes on into what is kept
        (100, 25, 1, False),
        (124, 0, 1, True),
        (125, 0, 1, False),
        (110, 90, 1, False),  # what ends beyond the share is left to others
        (99, 90, 1, True),
        (95, 20, 5, True),
        (96, 20, 5, True),
        (96, 21, 5, False),  # with these it would have more than its share
        (90, 21, 5, True),
        (200, 0, 0, False),
    ],
)
def test_owner_may_have_more(total: int, held: int, more: int, allowed: bool) -> None:
    """
    With its share an owner may have what is common, with less also what is kept beside that.
    """
    assert Capacity(common=100, whole=125, share=25).allows(total, held, more) is allowed


@pytest.mark.parametrize(
    ("limit", "percent", "beside", "within"),
    [
        (3000, 25, Capacity(3000, 3750, 750), Capacity(2250, 3000, 750)),
        (1000, 10, Capacity(1000, 1100, 100), Capacity(900, 1000, 100)),
        (4, 25, Capacity(4, 5, 1), Capacity(3, 4, 1)),
        (3, 25, Capacity(3, 3, 0), Capacity(3, 3, 0)),
    ],
)
def test_what_is_kept(limit: int, percent: int, beside: Capacity, within: Capacity) -> None:
    """
    A share is kept beside the limit or within it, where it is one at least.
    """
    assert kept_beside(limit, percent) == beside
    assert kept_within(limit, percent) == within


@given(
    st.integers(1, 40), st.lists(st.tuples(st.sampled_from("abcdef"), st.booleans()), max_size=300)
)
def test_owner_with_less_than_its_share_waits_for_no_single_other(
    limit: int, steps: list[tuple[str, bool]]
) -> None:
    """
    Whatever the others did, unless several of them have taken what is kept.
    """
    capacity, held = kept_beside(limit), dict.fromkeys("abcdef", 0)
    for owner, begins in steps:
        total = sum(held.values())
        if begins and capacity.allows(total, held[owner]):
            held[owner] += 1
        elif not begins and held[owner]:
            held[owner] -= 1
        hungry = [it for it in held.values() if it > capacity.share]
        small = sum(held.values()) - sum(hungry)
        if len(hungry) <= 1 and small < capacity.share:
            assert capacity.allows(sum(held.values()), 0)
        assert sum(held.values()) <= capacity.whole


def test_counts_follow_what_is_added_and_removed() -> None:
    """
    Until the next count of all, which takes in what was added while it ran.
    """
    counts = OwnerCounts()
    counts.add(["a", "a", "b"])
    counts.remove(["a"])
    assert (counts.total, counts.of("a"), counts.of("b"), counts.of("c")) == (2, 1, 1, 0)

    counts.begin_count()
    assert (counts.total, counts.of("a")) == (2, 1)
    counts.add(["c"])
    counts.counted({"a": 7})

    assert (counts.total, counts.of("a"), counts.of("b"), counts.of("c")) == (8, 7, 0, 1)


def test_counts_are_never_below_nothing() -> None:
    """
    What another process stored and this one ended is not counted until the next count.
    """
    counts = OwnerCounts()

    counts.remove(["a"])

    assert (counts.total, counts.of("a")) == (0, 0)
