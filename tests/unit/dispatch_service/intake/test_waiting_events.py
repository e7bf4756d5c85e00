"""
Which of the events that wait make a group.
"""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from dispatch_service.intake.answers import Answers
from dispatch_service.intake.waiting_events import GROUP_BYTES, GROUP_EVENTS, Entry, WaitingEvents
from shipedge.webhooks.events.v1 import event_pb2

_SIZES = st.one_of(st.integers(0, 2000), st.integers(GROUP_BYTES // 3, 2 * GROUP_BYTES))


@given(st.lists(_SIZES, max_size=3 * GROUP_EVENTS))
def test_groups_are_bounded_and_take_all_in_order(sizes: list[int]) -> None:
    """
    A group ends with the event that fills it; the bytes that wait are counted.
    """
    waiting = WaitingEvents()
    for entry in _entries(sizes):
        waiting.add(entry)
    assert waiting.bytes == sum(sizes)

    taken = []
    while group := waiting.take():
        held = [it.size for it in group]
        assert len(group) <= GROUP_EVENTS
        assert sum(held[:-1]) < GROUP_BYTES
        taken += held
        assert waiting.bytes == sum(sizes) - sum(taken)

    assert taken == sizes
    assert len(waiting) == 0


def _entries(sizes: list[int]) -> list[Entry]:
    async def answers() -> Answers:
        return Answers(len(sizes))

    told = asyncio.run(answers())
    event = event_pb2.Event()
    return [Entry((1, str(n)), size, told, n, event, b"") for n, size in enumerate(sizes)]
