"""
The leases that a process holds.
"""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from dispatch_service.delivery.held_leases import MARGIN_SECONDS, HeldLeases, LeaseEnd
from tests.support.dispatch_factories import claimed

pytestmark = pytest.mark.anyio

NOW = 1000.0


def test_overdue_leases_are_those_that_have_ended_or_are_about_to() -> None:
    """
    Leases that still last are not looked at.
    """
    held = HeldLeases()
    over, ending, lasting = claimed(), claimed(), claimed()
    held.add(over, NOW - 1)
    held.add(ending, NOW + MARGIN_SECONDS)
    held.add(lasting, NOW + 45)

    assert held.overdue(NOW) == [over.delivery_id, ending.delivery_id]


@pytest.mark.parametrize("how", LeaseEnd)
def test_ended_lease_is_not_held(how: LeaseEnd) -> None:
    """
    However it ends, its delivery may be claimed again.
    """
    held, it = HeldLeases(), claimed()
    held.add(it, NOW)

    held.end(it, how)

    assert it not in held
    assert held.overdue(NOW) == []


def test_end_of_another_lease_of_the_delivery_changes_nothing() -> None:
    """
    A lease that was taken by mistake and released leaves the one in hand.
    """
    held, it = HeldLeases(), claimed()
    held.add(it, NOW)

    held.end(replace(it, token=it.token + 1), LeaseEnd.RELEASED)

    assert it in held


async def test_end_is_awaited() -> None:
    """
    Who waits for the end of a lease learns how it ended, also of one that is unknown.
    """
    held, it, other = HeldLeases(), claimed(), claimed()
    held.add(it, NOW)
    ended = held.ended(it)

    held.end(other, LeaseEnd.SETTLED)
    assert not ended.done()
    held.end(it, LeaseEnd.DROPPED)

    assert await ended is LeaseEnd.DROPPED
