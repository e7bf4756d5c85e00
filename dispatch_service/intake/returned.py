"""
The events that subscriptions missed while they were held, of which the table of held resources
tells.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from dispatch_service.feed import held

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection


class ReturnedSubscriptions:
    """
    Finds what has to be matched with subscriptions that are no longer held, once in each
    process: each has matched events without them. A row is deleted when all processes have.
    """

    def __init__(self) -> None:
        self._working: set[str] = set()
        self._done: dict[str, int] = {}

    async def find(
        self, db: AsyncConnection, returned: Mapping[str, datetime | None], lowest: int
    ) -> dict[str, datetime]:
        """
        Return the instants from which on events are to be matched with subscriptions, by name.

        *returned* has what has returned in this process since the last call, with the instants
        from which on it matches at all; *lowest* is the revision that all processes have
        reached.
        """
        for name in returned:
            self._done.pop(name, None)
            self._working.discard(name)
        missed = await held.missed(db)
        ended = {name for name in missed if self._done.get(name, lowest + 1) <= lowest}
        await held.delete_returned(db, ended)
        self._done = {name: it for name, it in self._done.items() if name in missed.keys() - ended}
        known = ended | self._working | self._done.keys()
        found = {name: since for name, since in missed.items() if name not in known}
        for name, since in returned.items():
            if since is not None:
                # Another process may have deleted the row of a history that it left first.
                found[name] = max(since, found.get(name, since))
        self._working |= found.keys()
        return found

    def ended(self, names: Iterable[str], revision: int) -> None:
        """
        Record that events were matched with subscriptions as of *revision*.
        """
        for name in self._working.intersection(names):
            self._working.remove(name)
            self._done[name] = revision
