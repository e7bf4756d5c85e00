"""
Events that wait to be published over one connection, and when a batch of them is due.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import chain

from shipedge.webhooks.dispatch.v1 import publisher_service_pb2

MOST_EVENTS = 500
MOST_EVENT_BYTES = 256 * 1024
MOST_BATCH_BYTES = 4 * 1024 * 1024
"""
The limits of the contract for a batch and an event.
"""


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """
    A batch is sent when it has so many events or bytes, or when its first event has waited
    *linger_seconds*. Raises `ValueError` for more than the contract allows.
    """

    events: int = MOST_EVENTS
    content_bytes: int = 1024 * 1024
    linger_seconds: float = 0.003

    def __post_init__(self) -> None:
        if not 1 <= self.events <= MOST_EVENTS:
            raise ValueError(f"events: must be 1 to {MOST_EVENTS}, not {self.events}")
        if not 1 <= self.content_bytes <= MOST_BATCH_BYTES:
            raise ValueError(
                f"content_bytes: must be 1 to {MOST_BATCH_BYTES}, not {self.content_bytes}"
            )
        if self.linger_seconds < 0:
            raise ValueError(f"linger_seconds: must be 0 or more, not {self.linger_seconds}")


@dataclass(frozen=True, slots=True, eq=False)
class PendingEvent:
    """
    An event that is not answered: its content as it is sent, and the time since which it waits.
    """

    content: bytes
    account: int
    since: float
    future: Future[publisher_service_pb2.AcceptedEvent]


@dataclass(slots=True)
class _SuspendedAccount:
    """
    The events of an account that takes none before *until*.
    """

    until: float
    events: deque[PendingEvent] = field(default_factory=deque)


class EventQueue:
    """
    Keeps events in their order. Those of an account that must wait do not delay others.

    Times are in seconds, of any clock that only rises. Nothing here locks.
    """

    def __init__(self, limits: BatchLimits) -> None:
        self._limits = limits
        self._ready: deque[PendingEvent] = deque()
        self._ready_bytes = 0
        self._suspended: dict[int, _SuspendedAccount] = {}

    def __iter__(self) -> Iterator[PendingEvent]:
        """
        Yield all events; the order is that of each account.
        """
        return chain(*(it.events for it in self._suspended.values()), self._ready)

    def add(self, event: PendingEvent) -> None:
        """
        Add an event at the end.
        """
        self._ready.append(event)
        self._ready_bytes += len(event.content)

    def put_back(self, events: Sequence[PendingEvent]) -> None:
        """
        Put events before all others, in their order.
        """
        self._ready.extendleft(reversed(events))
        self._ready_bytes += sum(len(event.content) for event in events)

    def suspend(self, events: Sequence[PendingEvent], until: float) -> None:
        """
        Put back events that were refused because of their accounts, which wait until then.
        """
        for event in events:
            suspended = self._suspended.setdefault(event.account, _SuspendedAccount(until))
            suspended.until = max(suspended.until, until)
            suspended.events.append(event)

    def due_in(self, now: float, *, flushing: bool) -> float | None:
        """
        Return in how many seconds a batch should be taken, 0 for at once, `None` for not before
        something is added. When *flushing*, no batch waits to be filled.
        """
        waits = [it.until - now for it in self._suspended.values()]
        if self._ready:
            waits.append(0.0 if flushing or self._is_full() else self._lingers(now))
        return max(0.0, min(waits)) if waits else None

    def _is_full(self) -> bool:
        return (
            len(self._ready) >= self._limits.events
            or self._ready_bytes >= self._limits.content_bytes
        )

    def _lingers(self, now: float) -> float:
        return self._ready[0].since + self._limits.linger_seconds - now

    def take(self, now: float, most_events: int = MOST_EVENTS) -> list[PendingEvent]:
        """
        Remove and return the next batch, of *most_events* at most; it is empty if all events
        belong to accounts that wait.
        """
        self._resume(now)
        batch: list[PendingEvent] = []
        left = self._limits.content_bytes
        most = min(most_events, self._limits.events)
        while self._ready and len(batch) < most:
            event = self._ready[0]
            suspended = self._suspended.get(event.account)
            if suspended is None and batch and len(event.content) > left:
                break
            self._ready.popleft()
            self._ready_bytes -= len(event.content)
            if suspended is None:
                batch.append(event)
                left -= len(event.content)
            else:
                suspended.events.append(event)
        return batch

    def _resume(self, now: float) -> None:
        """
        Put the events of accounts that have waited before those that came later.
        """
        for account, suspended in list(self._suspended.items()):
            if suspended.until <= now:
                del self._suspended[account]
                self.put_back(suspended.events)
