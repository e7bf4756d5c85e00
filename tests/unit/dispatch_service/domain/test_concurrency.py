"""
How many requests a healthy endpoint may get at a time.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatch_service.domain.concurrency import ANSWERS_TO_GROW, Concurrency

LEAST, MOST = 8, 64


def answered(concurrency: Concurrency, seconds: float, times: int) -> None:
    """
    Give an endpoint for which more waits so many good answers.
    """
    for _ in range(times):
        concurrency.want_more()
        concurrency.succeeded(seconds)


def grown(seconds: float = 0.1) -> Concurrency:
    """
    Return the concurrency of an endpoint that has borne the most.
    """
    concurrency = Concurrency(LEAST, MOST)
    answered(concurrency, seconds, (MOST - LEAST) * ANSWERS_TO_GROW)
    return concurrency


@pytest.mark.parametrize("seconds", [0.0, 0.0005, 0.1, 10.0])
def test_grows_by_one_for_a_few_answers_up_to_the_most(seconds: float) -> None:
    """
    Whatever the time of an answer is, as long as it stays the same.
    """
    concurrency = Concurrency(LEAST, MOST)
    answered(concurrency, seconds, ANSWERS_TO_GROW - 1)
    assert concurrency.limit == LEAST
    answered(concurrency, seconds, 1)
    assert concurrency.limit == LEAST + 1
    answered(concurrency, seconds, 1000)
    assert concurrency.limit == MOST


def test_does_not_grow_while_nothing_waits() -> None:
    """
    An endpoint that gets less than it may shows nothing.
    """
    concurrency = Concurrency(LEAST, MOST)
    for _ in range(1000):
        concurrency.succeeded(0.1)
    assert concurrency.limit == LEAST


def test_a_failed_answer_begins_the_row_anew() -> None:
    """
    One that is refused now and then grows more slowly, or not at all.
    """
    concurrency = Concurrency(LEAST, MOST)
    for _ in range(100):
        answered(concurrency, 0.1, ANSWERS_TO_GROW - 1)
        concurrency.refused()
    assert concurrency.limit == LEAST


@pytest.mark.parametrize(
    ("trouble", "expected"),
    [
        (lambda it: it.halve(), 32),
        (lambda it: [it.halve() for _ in range(9)], LEAST),
        (lambda it: answered(it, 0.14, 200), MOST),
        (lambda it: answered(it, 0.19, 1000), MOST),
        (lambda it: answered(it, 0.3, 20), 32),
        (lambda it: it.refused(), MOST),
    ],
)
def test_trouble_halves(trouble: Callable[[Concurrency], object], expected: int) -> None:
    """
    Overload, or answers that take twice as long as usual; a little longer only stops the growth.
    """
    concurrency = grown()
    trouble(concurrency)
    assert concurrency.limit == expected


def test_a_receiver_that_answers_one_at_a_time_stays_near_the_least() -> None:
    """
    Its answers come later the more requests it has: more of them would bring nothing.
    """
    concurrency = Concurrency(LEAST, MOST)
    for _ in range(5000):
        answered(concurrency, 0.02 * concurrency.limit, 1)
    assert concurrency.limit <= 2 * LEAST


def test_a_receiver_that_has_become_slower_is_judged_anew() -> None:
    """
    Back at the least, its present time is the usual one, so it grows again.
    """
    concurrency = grown(0.01)
    answered(concurrency, 0.5, 200)
    assert concurrency.limit < MOST
    answered(concurrency, 0.5, 2000)
    assert concurrency.limit == MOST


EVENTS = st.lists(
    st.one_of(st.floats(0, 20), st.sampled_from(["refused", "halve", "want_more"])), max_size=300
)


@given(EVENTS, st.integers(1, 100), st.integers(0, 100))
def test_stays_between_the_least_and_the_most(
    events: list[float | str], least: int, more: int
) -> None:
    """
    Whatever happens; it grows by one at a time, and never shrinks below half.
    """
    concurrency = Concurrency(least, least + more)
    for event in events:
        before = concurrency.limit
        if isinstance(event, str):
            getattr(concurrency, event)()
        else:
            concurrency.succeeded(event)
        assert least <= concurrency.limit <= least + more
        assert before // 2 <= concurrency.limit <= before + 1
