"""
The application of the feed: each answer to the database in one transaction, then in memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import sqlalchemy as sa
import structlog

from dispatch_service.feed import absence, held, snapshot
from dispatch_service.feed.absence import Absence
from dispatch_service.feed.cache import FeedItem, Listener, ResourceCache
from dispatch_service.feed.config_clock import ConfigClock, instant
from dispatch_service.feed.held import HeldReason
from dispatch_service.feed.position import NOWHERE, HistoryChangedError, Position, goes_on
from dispatch_service.feed.snapshot import StoredItem
from dispatch_service.routing.subscriptions import Subscription, begins_to_match
from dispatch_service.storage import urls
from dispatch_service.storage.urls import UrlKey
from service_runtime.database.conflicts import retry_on_conflict
from service_runtime.database.engine import reading, writing
from service_runtime.database.instants import database_now
from service_runtime.keys.keyring import KeyRing
from service_runtime.observability.dispatch_metrics import ALARMING_SNAPSHOTS
from service_runtime.process.failures import FailureLog
from service_runtime.rpc import names
from shipedge.webhooks.feed.v1.feed_service_pb2 import FeedChange, WatchConfigurationResponse

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

log = structlog.get_logger()


class FeedApplier:
    """
    Applies the answers of the feed. *position* is how far it has come; nowhere, until the
    snapshot that begins there is complete. What a snapshot lacks is held for as long as *hold*.

    *clock* compares the config service's database with the own one; *known_until* is a time by
    the former up to which all changes are known, None if there is none yet.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        ring: KeyRing,
        cache: ResourceCache,
        listener: Listener,
        failures: FailureLog,
        *,
        hold: timedelta,
    ) -> None:
        self.position = NOWHERE
        self.clock = ConfigClock()
        self.known_until: datetime | None = None
        self._heard_at = datetime.fromtimestamp(0, UTC)
        self._engine = engine
        self._ring = ring
        self._cache = cache
        self._listener = listener
        self._failures = failures
        self._hold = hold
        # Known before the snapshot, and of these not named by it yet; None where none comes.
        self._known: set[str] = set()
        self._unnamed: set[str] | None = None
        # Between a change of the database and that of memory nothing else is applied.
        self._applying = asyncio.Lock()

    async def load(self) -> None:
        """
        Load the stored snapshot into memory, if there is one. A resource that cannot be read or
        used does not stop the others.
        """
        position = await snapshot.stored_position(self._engine)
        async with reading(self._engine) as db:
            reasons = await held.held_now(db)
        unusable: dict[str, int] = {}
        usable_again = []
        async for stored in snapshot.load(self._engine, self._ring, self._failures):
            item = self._load_item(stored, reasons.get(stored.name))
            if item is None or item.unusable:
                unusable[stored.name] = stored.revision
            elif reasons.get(stored.name) is HeldReason.UNUSABLE:
                usable_again.append(item.change)
        await self._store_usability(unusable, usable_again)
        if position is not None:
            self.position = position
            self._cache.subscriptions.received = True
            count = len(self._cache.subscriptions.by_name)
            log.info("feed.loaded", revision=position.revision, subscriptions=count)

    def _load_item(self, stored: StoredItem, reason: HeldReason | None) -> FeedItem | None:
        item = None if stored.change is None else self._cache.read(stored.change)
        if item is not None:
            self._cache.put(item)
        if names.is_subscription(stored.name) and (item is None or reason is HeldReason.MISSING):
            self._cache.subscriptions.hold(stored.name, stored.revision)
        return item

    async def _store_usability(
        self, unusable: Mapping[str, int], usable_again: Sequence[FeedChange]
    ) -> None:
        """
        Store what this version can use of the stored snapshot, if the last one could not, or
        the other way round.
        """
        held_now = {name: it for name, it in unusable.items() if names.is_subscription(name)}
        if not held_now and not usable_again:
            return
        async with writing(self._engine) as db:
            await snapshot.hold_unusable(db, held_now)
            await snapshot.store_changes(db, usable_again, self._ring, self._cache.endpoint_of)

    def held_count(self) -> int:
        """
        Return how many subscriptions are held.
        """
        return len(self._cache.subscriptions.held)

    def restart(self) -> None:
        """
        Begin with a snapshot again.
        """
        self.position = NOWHERE

    async def begin(self) -> Position:
        """
        Prepare for the answers of a new stream; return the position at which it is to begin.

        What is known is read before the snapshot: what another process stores later may be newer
        than it. Memory counts too: another process may have deleted the row already.
        """
        self._unnamed = None
        if self.position == NOWHERE:
            self._known = await snapshot.stored_names(self._engine) | self._cache.names()
            self._unnamed = set(self._known)
        self.clock.opened()
        self._heard_at = await self._now()
        return self.position

    def next_number(self) -> int:
        """
        Return the number of a request that is sent now: of the first one of a stream, or of one
        that acknowledges the last answer.
        """
        return self.clock.sent(self._heard_at)

    async def _now(self) -> datetime:
        async with reading(self._engine) as db:
            now: datetime = (await db.execute(sa.select(database_now()))).scalar_one()
        return now

    async def apply(self, answer: WatchConfigurationResponse) -> None:
        """
        Apply one answer. Raises `HistoryChangedError` if it is of another history.
        """
        async with self._applying:
            await self._apply(answer)

    async def _apply(self, answer: WatchConfigurationResponse) -> None:
        position = Position(answer.revision, answer.digest)
        self._heard_at = await self._now()
        if answer.HasField("request_time"):
            request_time = instant(answer.request_time)
            self.clock.heard(answer.request_number, request_time, self._heard_at)
        if self._unnamed is None and not goes_on(self.position, position):
            raise HistoryChangedError
        items = [item for item in map(self._cache.read, answer.changes) if item is not None]
        absent = self._absent(answer, items)
        if items or position != self.position:
            await self._store(items, position, absent)
        self._put(items, absent)
        self._listener.changes_stored()
        self._end(position, len(answer.changes), absent)
        if not (answer.changes or answer.snapshot_complete) and answer.HasField("config_time"):
            # Only such an answer tells that there was nothing more at its time.
            self.known_until = instant(answer.config_time)

    def _absent(
        self, answer: WatchConfigurationResponse, items: Sequence[FeedItem]
    ) -> Absence | None:
        """
        Return what a snapshot lacks that this answer completes, None if it completes none.
        """
        if self._unnamed is None:
            return None
        self._unnamed.difference_update(item.name for item in items)
        return absence.judge(self._unnamed, self._known) if answer.snapshot_complete else None

    @retry_on_conflict
    async def _store(
        self, items: Sequence[FeedItem], position: Position, absent: Absence | None
    ) -> None:
        async with writing(self._engine) as db:
            await snapshot.store_changes(
                db,
                [item.change for item in items],
                self._ring,
                self._cache.endpoint_of,
                unusable={item.name for item in items if item.unusable},
                of_snapshot=self._unnamed is not None,
            )
            await urls.record(db, self._ring, _urls_of(items))
            if absent is not None:
                await snapshot.end_snapshot(db, absent)
            if absent is not None or self._unnamed is None:
                await snapshot.store_position(db, position)

    def _put(self, items: Sequence[FeedItem], absent: Absence | None) -> None:
        for item in items:
            if self._unnamed is not None:
                # It was stored without the overrides of another history.
                self._cache.subscriptions.lift_override(item.name, item.change.revision)
            subscriptions = self._cache.subscriptions
            before, was_held = subscriptions.by_name.get(item.name), item.name in subscriptions.held
            resumed = self._cache.put(item)
            if resumed is not None:
                self._listener.resumed(resumed)
            if isinstance(item.compiled, Subscription) and subscriptions.received:
                self._match_late(before, item.compiled, was_held=was_held)
        if absent is not None:
            self._cache.hold(absent.subscriptions)
            for name in absent.dropped:
                self._cache.forget(name)

    def _match_late(
        self, before: Subscription | None, now: Subscription, *, was_held: bool
    ) -> None:
        """
        Have events matched that were accepted before a subscription was known here. Before the
        first snapshot none are: they wait for it.
        """
        since = None if now.matches_since is None else self.clock.own_time(now.matches_since)
        if was_held:
            self._listener.returned(now.name, since)
        elif since is not None and begins_to_match(before, now):
            self._listener.matches_since(now.name, since)

    def _end(self, position: Position, changes: int, absent: Absence | None) -> None:
        if absent is not None:
            self._unnamed = None
            self._cache.subscriptions.received = True
            _log_snapshot(position, absent, self._known)
        if self._unnamed is None:
            self.position = position
        if changes:
            log.info("feed.applied", revision=position.revision, changes=changes)

    async def end_holds(self) -> None:
        """
        Delete what has been missing for too long, and forget what any process has deleted for
        that reason.
        """
        if not self._cache.subscriptions.held:
            return
        async with self._applying:
            await self._delete_missing()
            for name in self._cache.names() - await snapshot.stored_names(self._engine):
                self._cache.forget(name)
        self._listener.changes_stored()

    @retry_on_conflict
    async def _delete_missing(self) -> None:
        async with writing(self._engine) as db:
            ended = await held.missing_for(db, self._hold)
            if ended:
                await snapshot.end_holds(db, ended)
        for name in filter(names.is_subscription, ended):
            log.warning("feed.hold_ended", subscription=name)


def _urls_of(items: Sequence[FeedItem]) -> dict[UrlKey, str]:
    """
    Return the usable URLs of subscriptions, as the log finds them.
    """
    found = (item.compiled for item in items if isinstance(item.compiled, Subscription))
    return {(it.owner, it.url_hash): it.url.text for it in found if it.url is not None}


def _log_snapshot(position: Position, absent: Absence, known: Collection[str]) -> None:
    log.info("feed.snapshot_applied", revision=position.revision)
    if absent.subscriptions:
        write = log.error if absent.alarming else log.warning
        write(
            "feed.subscriptions_missing",
            revision=position.revision,
            count=len(absent.subscriptions),
            subscriptions=sum(map(names.is_subscription, known)),
        )
    if absent.alarming:
        ALARMING_SNAPSHOTS.add()
