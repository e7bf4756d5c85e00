"""
The delivery table as a queue: what both databases do.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from dispatch_service.domain.work import (
    Claimed,
    Ended,
    EndpointKey,
    EventKey,
    Lease,
    NewEvent,
    Receipt,
    Release,
    Settlement,
)

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection


START: EndpointKey = ("", "")
"""
Before all endpoints.
"""


MOST_ENDPOINTS = 10_000
"""
How many endpoints one claim looks at: about 50 milliseconds of the database's time.
"""


Follow = Callable[["AsyncConnection", Sequence[Settlement]], Awaitable[None]]
"""
Writes what follows from settlements whose lease was still held, in their transaction.
"""


Wants = Callable[[Sequence["Settlement"]], bool]
"""
Tells whether anything may follow from settlements.
"""


class Queue(Protocol):
    """
    What both databases do. Every method but `insert_into` is one transaction of its own.
    """

    async def close(self) -> None:
        """
        Keep nothing between uses any more.
        """
        ...

    async def insert(self, group: Sequence[NewEvent], lease: Lease) -> Mapping[EventKey, Receipt]:
        """
        Store the events of *group* whose ids are new, each with all that follows
        from it, and say of every event what is known of its id.
        """
        ...

    async def insert_into(
        self, db: AsyncConnection, group: Sequence[NewEvent], lease: Lease
    ) -> Mapping[EventKey, Receipt]:
        """
        Do what `insert` does in a transaction that is open already.
        """
        ...

    async def insert_matches(
        self, group: Sequence[NewEvent], lease: Lease
    ) -> Mapping[EventKey, Receipt]:
        """
        Store what follows from events that waited for a snapshot; return those
        that no other process had matched meanwhile.
        """
        ...

    async def claim(
        self, lease: Lease, *, limit: int, per_endpoint: int, full: Collection[EndpointKey]
    ) -> Sequence[Claimed]:
        """
        Take up to *limit* due deliveries, at most *per_endpoint* of each endpoint
        and none of those that are *full*, beginning where the last call ended.

        It looks at `MOST_ENDPOINTS` endpoints with waiting deliveries at most; the
        next call looks at those behind them.

        A delivery whose lease has run out is due too; taking it over writes the
        attempt that it was leased for as interrupted.
        """
        ...

    async def settle(
        self, settlements: Sequence[Settlement], follow: Follow | None = None
    ) -> Ended:
        """
        End leases and write the attempts. What another process has taken over is
        left alone, but for a note of the late outcome at the attempt that was cut off.

        *follow* is given the settlements that counted, in the same transaction.
        """
        ...

    async def release(self, releases: Sequence[Release]) -> Ended:
        """
        Let leases go as if the attempts had never attempt_count.
        """
        ...
