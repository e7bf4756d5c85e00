"""
When batches are due, what they hold, and that the order of an account is kept.
"""

from __future__ import annotations

from concurrent.futures import Future

import pytest

from shipedge.webhooks.client.event_queue import BatchLimits, EventQueue, PendingEvent

LIMITS = BatchLimits(events=3, content_bytes=100, linger_seconds=0.5)


def pending(text: str, account: int = 1, since: float = 0.0) -> PendingEvent:
    """
    Make an event with that content.
    """
    return PendingEvent(text.encode(), account, since, Future())


def queue_of(*events: PendingEvent) -> EventQueue:
    """
    Make a queue of events.
    """
    queue = EventQueue(LIMITS)
    for event in events:
        queue.add(event)
    return queue


def texts(events: list[PendingEvent]) -> str:
    """
    Return the contents, joined.
    """
    return " ".join(event.content.decode() for event in events)


@pytest.mark.parametrize(
    ("contents", "now", "flushing", "due"),
    [
        ([], 9.0, False, None),
        ([], 9.0, True, None),
        (["a"], 0.0, False, 0.5),
        (["a"], 0.2, False, 0.3),
        (["a"], 7.0, False, 0.0),
        (["a"], 0.0, True, 0.0),
        (["a", "b", "c"], 0.0, False, 0.0),
        (["a" * 99], 0.0, False, 0.5),
        (["a" * 100], 0.0, False, 0.0),
    ],
)
def test_when_a_batch_is_due(
    contents: list[str], now: float, flushing: bool, due: float | None
) -> None:
    """
    A full batch is due at once, others after the time to linger.
    """
    queue = queue_of(*map(pending, contents))

    wait = queue.due_in(now, flushing=flushing)

    assert wait == (None if due is None else pytest.approx(due))


@pytest.mark.parametrize(
    ("contents", "most", "batches"),
    [
        (["a", "b", "c", "d"], 500, ["a b c", "d"]),
        (["a", "b", "c", "d"], 1, ["a", "b", "c", "d"]),
        (["a" * 60, "b" * 60, "c"], 500, ["a" * 60, "b" * 60 + " c"]),
        (["a" * 101, "b"], 500, ["a" * 101, "b"]),
    ],
)
def test_batches(contents: list[str], most: int, batches: list[str]) -> None:
    """
    Batches keep to the limits of events and bytes; an event too large for any goes alone.
    """
    queue = queue_of(*map(pending, contents))

    assert [texts(queue.take(0.0, most)) for _ in batches] == batches
    assert not queue.take(0.0)


def test_what_is_put_back_goes_first() -> None:
    """
    A batch without an answer is taken again as it was, before what came later.
    """
    queue = queue_of(*map(pending, "abcd"))
    batch = queue.take(0.0)
    queue.put_back(batch)

    assert texts(queue.take(0.0)) == "a b c"
    assert texts(queue.take(0.0)) == "d"


def test_an_account_that_waits_delays_no_other() -> None:
    """
    Later events of the account wait with those that were refused, and follow them.
    """
    first, later = pending("a1", 1), pending("a2", 1)
    queue = queue_of(first, pending("b1", 2))
    assert texts(queue.take(0.0)) == "a1 b1"
    queue.suspend([first], until=4.0)
    queue.add(later)
    queue.add(pending("b2", 2))

    assert texts(queue.take(1.0)) == "b2"
    assert texts(list(queue)) == "a1 a2"
    assert queue.due_in(1.0, flushing=True) == pytest.approx(3.0)
    assert not queue.take(3.9)
    queue.add(pending("a3", 1))
    assert texts(queue.take(4.0)) == "a1 a2 a3"
    assert queue.due_in(4.0, flushing=True) is None


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"events": 501}, "events"),
        ({"events": 0}, "events"),
        ({"content_bytes": 5 * 1024 * 1024}, "content_bytes"),
        ({"linger_seconds": -1.0}, "linger_seconds"),
    ],
)
def test_limits_beyond_the_contract(values: dict[str, float], field: str) -> None:
    """
    Limits that no service would take are refused by name.
    """
    with pytest.raises(ValueError, match=f"^{field}: must be"):
        BatchLimits(**values)  # type: ignore[arg-type]
