"""
Which of the waiting events make a group.
"""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatch_service.intake.waiting import (
    GROUP_BYTES,
    GROUP_DELIVERIES,
    GROUP_EVENTS,
    PATIENCE_SECONDS,
    Answers,
    WaitingEvent,
    WaitingEvents,
)
from shipedge.webhooks.events.v1 import event_pb2

_SIZES = st.one_of(st.integers(0, 2000), st.integers(GROUP_BYTES // 3, 2 * GROUP_BYTES))


@pytest.mark.slow
@given(st.lists(_SIZES, max_size=3 * GROUP_EVENTS))
def test_groups_are_bounded_and_take_all_in_order(sizes: list[int]) -> None:
    """
    A group ends with the event that fills it; the bytes that wait are counted.
    """
    waiting = WaitingEvents(len(sizes))
    for event in _waiting(sizes):
        waiting.add(event)
    assert waiting.bytes == sum(sizes)

    taken = []
    while group := waiting.take():
        held = [event.size for event in group]
        assert len(group) <= GROUP_EVENTS
        assert sum(held[:-1]) < GROUP_BYTES
        taken += held
        assert waiting.bytes == sum(sizes) - sum(taken)

    assert taken == sizes
    assert len(waiting) == 0


def test_events_for_many_subscriptions_make_small_groups() -> None:
    """
    A group ends with the event whose deliveries fill it, and the event of another account that
    came last is in the first one.
    """

    async def groups() -> list[list[int]]:
        fan_outs = {"accounts/1": GROUP_DELIVERIES // 4, "accounts/2": 0}
        waiting = WaitingEvents(50, fan_out=fan_outs.__getitem__)
        accounts = [1] * 10 + [2]
        waiting.submit([event_pb2.Event(account_id=account) for account in accounts])
        made = []
        while group := waiting.take():
            made.append([event.key[0] for event in group])
        return made

    assert asyncio.run(groups()) == [[1, 2, 1, 1, 1], [1, 1, 1, 1], [1, 1]]


def test_events_that_waited_long_are_taken_apart() -> None:
    """
    Those that came later stay, in their order.
    """
    waiting = WaitingEvents(4)
    early, late = _waiting([10, 20]), _waiting([30, 40])
    for event in early:
        event.answers.since = 0.0
    for event in late:
        event.answers.since = 1.0
    for event in [*early, *late]:
        waiting.add(event)

    assert waiting.take_impatient(PATIENCE_SECONDS - 0.1) == []
    assert waiting.take_impatient(PATIENCE_SECONDS) == early
    assert (len(waiting), waiting.bytes) == (2, 70)
    assert waiting.take_impatient(PATIENCE_SECONDS + 1) == late


def _waiting(sizes: list[int]) -> list[WaitingEvent]:
    async def answers() -> Answers:
        return Answers(len(sizes))

    shared = asyncio.run(answers())
    event = event_pb2.Event()
    return [WaitingEvent((1, str(n)), size, shared, n, event, b"") for n, size in enumerate(sizes)]
