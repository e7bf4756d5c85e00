"""
What the deliveries in memory use: a place and the bytes of their payloads while they wait, a slot
while they are attempted. Counted in all and for each owner.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from dispatch_service.domain.leases import LONGEST_HORIZON
from dispatch_service.domain.shares import SHARE_PERCENT, Capacity, kept_beside
from dispatch_service.domain.work import EndpointKey

LATER_SHARE = 0.75
"""
What retries and resends may take of any capacity; the rest is for first attempts.
"""


@dataclass(frozen=True, slots=True)
class Bounds:
    """
    Limits over all endpoint queues: running attempts, deliveries that wait in memory, the bytes
    of their payloads, and the seconds within which what waits can start.

    The share of one owner is *share_percent* of each; so much more is kept for others.
    """

    running: int
    waiting: int
    waiting_bytes: int = 256 * 1024 * 1024
    horizon: float = LONGEST_HORIZON
    share_percent: int = SHARE_PERCENT


@dataclass(slots=True, eq=False)
class OwnerUsage:
    """
    What the deliveries of one owner use, and how many endpoint queues it has.
    """

    waiting: int = 0
    waiting_bytes: int = 0
    running: int = 0
    queues: int = 0


class ClaimRoom(msgspec.Struct, frozen=True, gc=False):
    """
    How many deliveries may be claimed, and the owners of which none may be.
    """

    count: int
    full_owners: Sequence[str] = ()


class MemoryUsage:
    """
    What all deliveries in memory use, held against *bounds*.

    As long as there is enough for everybody, which is usual, no owner's share is looked at.
    """

    __slots__ = (
        "_bytes",
        "_common_bytes",
        "_common_later",
        "_common_places",
        "_common_slots",
        "_later_slots",
        "_owners",
        "_places",
        "_slots",
        "running",
        "running_later",
        "waiting",
        "waiting_bytes",
    )

    def __init__(self, bounds: Bounds) -> None:
        self.waiting = 0
        self.waiting_bytes = 0
        self.running = 0
        self.running_later = 0
        self._owners: dict[str, OwnerUsage] = {}
        self._slots = kept_beside(bounds.running, bounds.share_percent)
        self._places = kept_beside(bounds.waiting, bounds.share_percent)
        self._bytes = kept_beside(bounds.waiting_bytes, bounds.share_percent)
        later = max(int(bounds.running * LATER_SHARE), 1)
        self._later_slots = Capacity(later, later + self._slots.share, self._slots.share)
        self._common_slots, self._common_later = self._slots.common, later
        self._common_places, self._common_bytes = self._places.common, self._bytes.common

    def of(self, owner: str) -> OwnerUsage:
        """
        Return what an owner uses.
        """
        return self._owners.get(owner) or OwnerUsage()

    def queue_opened(self, owner: str) -> OwnerUsage:
        """
        Count one more endpoint queue of an owner; return what the owner uses.
        """
        usage = self._owners[owner] = self.of(owner)
        usage.queues += 1
        return usage

    def queue_closed(self, owner: str, usage: OwnerUsage) -> None:
        """
        Count one endpoint queue less, of which nothing is left.
        """
        usage.queues -= 1
        if not usage.queues:
            del self._owners[owner]

    def has_place(self, usage: OwnerUsage, size: int) -> bool:
        """
        Tell whether a delivery of an owner with a payload of *size* bytes may wait.
        """
        if self.waiting < self._common_places and self.waiting_bytes + size <= self._common_bytes:
            return True
        return self._places.allows(self.waiting, usage.waiting) and self._bytes.allows(
            self.waiting_bytes, usage.waiting_bytes, size
        )

    def add_waiting(self, usage: OwnerUsage, size: int) -> None:
        """
        Count a delivery that waits.
        """
        self.waiting += 1
        self.waiting_bytes += size
        usage.waiting += 1
        usage.waiting_bytes += size

    def remove_waiting(self, usage: OwnerUsage, size: int) -> None:
        """
        Count that a delivery waits no longer.
        """
        self.waiting -= 1
        self.waiting_bytes -= size
        usage.waiting -= 1
        usage.waiting_bytes -= size

    def has_slot(self, usage: OwnerUsage) -> bool:
        """
        Tell whether an attempt of an owner may start.
        """
        return self.running < self._common_slots or self._slots.allows(self.running, usage.running)

    @property
    def crowded(self) -> bool:
        """
        Tell whether half of the slots are taken: then no endpoint has more than others begin with.
        """
        return self.running * 2 >= self._common_slots

    def has_later_slot(self, usage: OwnerUsage) -> bool:
        """
        Tell whether a retry or resend of an owner may start, if `has_slot` says so too.
        """
        return self.running_later < self._common_later or self._later_slots.allows(
            self.running_later, usage.running
        )

    def start(self, usage: OwnerUsage, size: int, *, later: bool) -> None:
        """
        Count the start of an attempt of a delivery that waited.
        """
        self.waiting -= 1
        self.waiting_bytes -= size
        self.running += 1
        self.running_later += later
        usage.waiting -= 1
        usage.waiting_bytes -= size
        usage.running += 1

    def finish(self, usage: OwnerUsage, *, later: bool) -> None:
        """
        Count the end of an attempt.
        """
        self.running -= 1
        self.running_later -= later
        usage.running -= 1

    def claim_room(self) -> ClaimRoom:
        """
        Return how many deliveries may be claimed; the rest of the room is for first attempts.

        Where all that one owner may have is taken, deliveries of owners that hold little are
        claimed into what is kept for them.
        """
        limit, most_bytes = self._places.common, self._bytes.common
        room = int(limit * LATER_SHARE) - self.waiting
        if room > 0 and self.waiting_bytes < most_bytes * LATER_SHARE:
            return ClaimRoom(room)
        full = [owner for owner, usage in self._owners.items() if self._has_its_share(usage)]
        room = limit + int(self._places.share * LATER_SHARE) - self.waiting
        if not full or self.waiting_bytes >= most_bytes + self._bytes.share * LATER_SHARE:
            return ClaimRoom(0)
        return ClaimRoom(max(room, 0), full)

    def owners_with_share(self) -> int:
        """
        Count the owners that hold their share of slots or places, or more.
        """
        slots = self._slots.share or self._slots.common
        return sum(
            usage.running >= slots or self._has_its_share(usage)
            for usage in tuple(self._owners.values())
        )

    def _has_its_share(self, usage: OwnerUsage) -> bool:
        places, most_bytes = self._places, self._bytes
        return usage.waiting >= (places.share or places.common) or usage.waiting_bytes >= (
            most_bytes.share or most_bytes.common
        )


class OwnerTurns:
    """
    Endpoint queues that wait for a slot, by owner: owners take turns, and so do the queues of each.
    """

    __slots__ = ("waiting",)

    def __init__(self) -> None:
        self.waiting: dict[OwnerUsage, dict[EndpointKey, None]] = {}

    def add(self, usage: OwnerUsage, key: EndpointKey) -> None:
        """
        Put a queue behind the others of its owner.
        """
        self.waiting.setdefault(usage, {})[key] = None

    def take(self, may_start: Callable[[OwnerUsage], bool]) -> EndpointKey | None:
        """
        Take the queue whose turn it is of those owners that *may_start*; None if there is none.
        """
        for usage, keys in self.waiting.items():
            if may_start(usage):
                key = next(iter(keys))
                # The dictionary changes, so this must be the last step of the loop.
                del keys[key], self.waiting[usage]
                if keys:
                    self.waiting[usage] = keys
                return key
        return None
