"""
The leases that this process holds: each from its start until its end is written.

Where results cannot be written, leases expire whose outcome is known here. What is held is left
out of claims, so that no living process sends a delivery twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from enum import Enum, auto

from dispatch_service.domain.work import Claimed, LeaseKey

MARGIN_SECONDS = 5.0
"""
A lease is left out of claims so long before its end, and leases begin in this order nearly.
"""


class LeaseEnd(Enum):
    """
    How a lease has ended.
    """

    SETTLED = auto()  # its result is written
    RELEASED = auto()  # there was no attempt
    DROPPED = auto()  # its end could not be written: it runs out


class HeldLeases:
    """
    The leases of a process by the ids of their deliveries. Used by one event loop only.
    """

    def __init__(self) -> None:
        # The token and the end of each: tuples, since there is one for each delivery.
        self._held: dict[str, tuple[int, float]] = {}
        self._awaited: dict[LeaseKey, asyncio.Future[LeaseEnd]] = {}

    def __contains__(self, claimed: Claimed) -> bool:
        return claimed.delivery_id in self._held

    def add(self, claimed: Claimed, lease_end: float) -> None:
        """
        Hold a lease until `end` is called; *lease_end* is on the monotonic clock.
        """
        self._held[claimed.delivery_id] = (claimed.token, lease_end)

    def end(self, claimed: Claimed, how: LeaseEnd) -> None:
        """
        Forget a lease that has ended.
        """
        self.end_all([claimed], how)

    def end_all(self, leases: Sequence[Claimed], how: LeaseEnd) -> None:
        """
        Forget leases that have ended in the same way.
        """
        held = self._held
        for it in leases:
            known = held.get(it.delivery_id)
            if known is not None and known[0] == it.token:
                del held[it.delivery_id]
        if self._awaited:
            for it in leases:
                self._tell(it, how)

    def _tell(self, claimed: Claimed, how: LeaseEnd) -> None:
        waiter = self._awaited.pop(claimed.key, None)
        if waiter is not None and not waiter.done():
            waiter.set_result(how)

    def ended(self, claimed: Claimed) -> asyncio.Future[LeaseEnd]:
        """
        Return what is done when a lease has ended, with how it did.
        """
        waiter = asyncio.get_running_loop().create_future()
        self._awaited[claimed.key] = waiter
        return waiter

    def overdue(self, now: float) -> list[str]:
        """
        Return the ids of deliveries whose lease has expired, or is about to, while it is held;
        *now* is the time of the monotonic clock in seconds.
        """
        ids = []
        for delivery_id, (_, end) in self._held.items():
            if end > now + MARGIN_SECONDS:
                break
            ids.append(delivery_id)
        return ids
