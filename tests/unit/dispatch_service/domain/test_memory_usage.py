"""
What owners use of the memory for deliveries, and the turns that they take.
"""

from __future__ import annotations

import pytest

from dispatch_service.domain.memory_usage import (
    Bounds,
    ClaimRoom,
    MemoryUsage,
    OwnerTurns,
    OwnerUsage,
)

BOUNDS = Bounds(running=8, waiting=100, waiting_bytes=1000)


def used(**waiting: int) -> MemoryUsage:
    """
    Make a memory in which so many deliveries of owners wait.
    """
    usage = MemoryUsage(BOUNDS)
    for owner, count in waiting.items():
        of_owner = usage.queue_opened(owner)
        for _ in range(count):
            usage.add_waiting(of_owner, 1)
    return usage


@pytest.mark.parametrize(
    ("waiting", "room"),
    [
        ({}, ClaimRoom(75)),
        ({"a": 70}, ClaimRoom(5)),
        ({"a": 75}, ClaimRoom(43, ["a"])),
        ({"a": 70, "b": 5}, ClaimRoom(43, ["a"])),
        ({"a": 50, "b": 25}, ClaimRoom(43, ["a", "b"])),
        ({"a": 100, "b": 24}, ClaimRoom(0, ["a"])),
        ({f"o{number}": 5 for number in range(15)}, ClaimRoom(0)),
    ],
)
def test_claims_pass_by_who_has_its_share(waiting: dict[str, int], room: ClaimRoom) -> None:
    """
    With room for all nobody is passed by; with none, what is kept is for those that hold little.
    """
    assert used(**waiting).claim_room() == room


def test_bytes_fill_the_room_of_claims() -> None:
    """
    A few large payloads of one owner leave room for small ones of others.
    """
    usage = MemoryUsage(BOUNDS)
    large, small = usage.queue_opened("large"), usage.queue_opened("small")

    usage.add_waiting(large, 1000)

    assert not usage.has_place(large, 1)
    assert usage.has_place(small, 250)
    assert not usage.has_place(small, 251)
    assert usage.claim_room() == ClaimRoom(117, ["large"])
    usage.add_waiting(small, 250)
    assert usage.claim_room() == ClaimRoom(0)


def test_owners_that_hold_their_share_are_counted() -> None:
    """
    Of places or of slots; an owner without anything is forgotten.
    """
    usage = used(a=25, b=24, c=2)
    c = usage.of("c")
    assert usage.owners_with_share() == 1

    usage.start(c, 1, later=False)
    usage.start(c, 1, later=True)

    assert usage.owners_with_share() == 2
    usage.finish(c, later=True)
    usage.finish(c, later=False)
    usage.queue_closed("c", c)
    assert usage.of("c") is not c
    assert usage.running == usage.running_later == 0


def test_owners_take_turns_and_their_queues_too() -> None:
    """
    One that may not start is passed by, and keeps its place.
    """
    turns, many, one = OwnerTurns(), OwnerUsage(), OwnerUsage()
    for number in range(3):
        turns.add(many, ("many", f"e{number}"))
    turns.add(one, ("one", "e"))

    assert turns.take(lambda usage: usage is one) == ("one", "e")
    assert turns.take(lambda usage: usage is one) is None
    turns.add(one, ("one", "f"))
    taken = [turns.take(lambda _: True) for _ in range(5)]

    assert taken == [("many", "e0"), ("one", "f"), ("many", "e1"), ("many", "e2"), None]
    assert not turns.waiting
