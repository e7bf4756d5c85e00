"""
The delivery table as a queue: the operations of both databases.
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
A key before those of all endpoints.
"""


MOST_ENDPOINTS = 10_000
"""
How many endpoints one claim looks at: about 50 milliseconds of the database's time.
"""


OnSettled = Callable[["AsyncConnection", Sequence[Settlement]], Awaitable[None]]
"""
Writes the effects of settlements whose lease was still held, in their transaction.
"""


HasEffects = Callable[[Sequence["Settlement"]], bool]
"""
Tells whether settlements may have effects.
"""


class Queue(Protocol):
    """
    The operations of both databases. Each is a transaction of its own, except those
    whose names end in `_into`, and except `release` with releases of both kinds, which is two.
    """

    async def close(self) -> None:
        """
        Close what is kept between uses.
        """
        ...

    async def insert(self, group: Sequence[NewEvent], lease: Lease) -> Mapping[EventKey, Receipt]:
        """
        Store the events of *group* whose ids are new, each with its bodies and deliveries;
        return a receipt for each event of the group.
        """
        ...

    async def insert_into(
        self, db: AsyncConnection, group: Sequence[NewEvent], lease: Lease
    ) -> Mapping[EventKey, Receipt]:
        """
        Do what `insert` does, in an open transaction.
        """
        ...

    async def insert_matches(
        self, group: Sequence[NewEvent], lease: Lease
    ) -> Mapping[EventKey, Receipt]:
        """
        Store the bodies and deliveries of events that waited for a snapshot; return receipts
        for those that no other process had matched meanwhile.
        """
        ...

    async def insert_missing(self, group: Sequence[NewEvent], lease: Lease) -> int:
        """
        Store the deliveries of *group* that stored events lack, with their bodies; return how
        many. Events that are not stored, or without their payload, are left out.
        """
        ...

    async def insert_missing_into(
        self, db: AsyncConnection, group: Sequence[NewEvent], lease: Lease
    ) -> int:
        """
        Do what `insert_missing` does, in an open transaction.
        """
        ...

    async def claim(
        self,
        lease: Lease,
        *,
        limit: int,
        per_endpoint: int,
        full: Collection[EndpointKey],
        full_owners: Collection[str] = (),
        held: Collection[str] = (),
    ) -> Sequence[Claimed]:
        """
        Lease up to *limit* due deliveries, at most *per_endpoint* of each endpoint and none of
        those that are *full* or belong to *full_owners*, beginning behind the endpoint where the
        last call ended.
        Deliveries whose ids are among *held* are left out.

        A call looks at no more than `MOST_ENDPOINTS` endpoints with waiting deliveries; the
        next call looks at those behind them.

        A delivery whose lease has expired is due, too. Claiming it writes the attempt that it
        was leased for as interrupted.
        """
        ...

    async def settle(
        self, settlements: Sequence[Settlement], on_settled: OnSettled | None = None
    ) -> Ended:
        """
        End leases with results, and write the attempts.

        A result counts only with the present token of the lease. If another process has
        claimed the delivery, the late outcome is recorded at the interrupted attempt, and where
        the receiver confirmed the delivery, it ends as SUCCEEDED unless it was cancelled.

        The settlements that counted are passed to *on_settled* in the same transaction.
        """
        ...

    async def release(self, releases: Sequence[Release]) -> Ended:
        """
        End leases as if their attempts had not started.

        A delivery is not suspended if its subscription has changed since that was decided; it
        is due again after a second.
        """
        ...
