"""
What callers use of a process at the moment, held against the limits.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta

from service_runtime.rpc.callers import Caller
from service_runtime.rpc.gate.limits import (
    WHOLE_BATCH_BYTES,
    AccountLimitReached,
    CallerLimitReached,
    Kind,
    LimitReached,
    Limits,
    ServiceLimitReached,
)
from service_runtime.rpc.gate.rates import EventRates
from service_runtime.rpc.gate.turns import Turns

FEED_STREAMS = 1000
"""
The streams of a caller with the role `feed`: one for each process of the dispatch service.
"""

_MOST_KEPT = 1000
"""
So many callers are kept although they use nothing: most call again at once.
"""

_MEMORY = "bytes of messages in flight"
_EVENTS = "events a second"


def most_open(caller: Caller, kind: Kind) -> int | None:
    """
    Return how many calls of a kind a caller may have open, None for as many as others.
    """
    return FEED_STREAMS if kind is Kind.WATCH and "feed" in caller.roles else None


class CallerUsage:
    """
    What one caller uses: *open* calls by kind, and *bytes* of messages that are not answered.

    How large a message is shows only when it is there. So a caller has *receivers*: turns to
    receive one, as many as messages of full size fit into what it may use.
    """

    __slots__ = ("bytes", "name", "open", "receivers")

    def __init__(self, name: str, receivers: int) -> None:
        self.name = name
        self.bytes = 0
        self.open = dict.fromkeys(Kind, 0)
        self.receivers = Turns(receivers)

    @property
    def idle(self) -> bool:
        """
        Whether nothing is in use.
        """
        return not self.bytes and self.receivers.idle and not any(self.open.values())


class Usage:
    """
    Counts what all callers use, and refuses what is beyond *limits*.

    *clock* gives seconds that only grow.
    """

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._callers: dict[str, CallerUsage] = {}
        self._open = dict.fromkeys(Kind, 0)
        self._bytes = 0
        self._released = asyncio.Event()
        self._accounts: dict[Kind, Counter[str]] = {kind: Counter() for kind in Kind}
        self._caller_events = EventRates(limits.caller_events)
        self._account_events = EventRates(limits.account_events)
        self._receivers = max(1, limits.caller_bytes // WHOLE_BATCH_BYTES)
        self.limits_events = bool(limits.caller_events or limits.account_events)

    def opened(self, caller: str, kind: Kind, most: int | None = None) -> CallerUsage:
        """
        Count a call that begins. *most*, if given, stands for the limit of a caller.

        Raises `CallerLimitReached`, `ServiceLimitReached`.
        """
        usage = self._callers.get(caller)
        if usage is None:
            usage = self._callers[caller] = CallerUsage(caller, self._receivers)
        limit = self._limits.of_caller(kind) if most is None else most
        if usage.open[kind] >= limit:
            raise CallerLimitReached(f"{kind} open", limit)
        if self._open_like(kind) >= self._limits.of_all(kind):
            raise ServiceLimitReached(f"{kind} open", self._limits.of_all(kind))
        usage.open[kind] += 1
        self._open[kind] += 1
        return usage

    def closed(self, usage: CallerUsage, kind: Kind) -> None:
        """
        Count the end of a call that `opened` counted.
        """
        usage.open[kind] -= 1
        self._open[kind] -= 1
        if len(self._callers) > _MOST_KEPT and usage.idle:
            self._callers.pop(usage.name, None)

    def full(self, usage: CallerUsage) -> LimitReached | None:
        """
        Return the error if no more messages of a caller may be taken.
        """
        if usage.bytes >= self._limits.caller_bytes:
            return CallerLimitReached(_MEMORY, self._limits.caller_bytes)
        if self._bytes >= self._limits.total_bytes:
            return ServiceLimitReached(_MEMORY, self._limits.total_bytes)
        return None

    def receives(self, caller: str) -> bool:
        """
        Tell whether a message of *caller* is being received.
        """
        usage = self._callers.get(caller)
        return usage is not None and not usage.receivers.idle

    def hold(self, usage: CallerUsage, size: int) -> None:
        """
        Count the bytes of a message that was received.
        """
        usage.bytes += size
        self._bytes += size

    def release(self, usage: CallerUsage, size: int) -> None:
        """
        Count that a message is done with.
        """
        usage.bytes -= size
        self._bytes -= size
        self._released.set()

    async def next_release(self) -> None:
        """
        Wait until some message is done with.
        """
        self._released.clear()
        await self._released.wait()

    def opened_on(self, owners: Iterable[str], kind: Kind) -> tuple[str, ...]:
        """
        Count a call on each of *owners*, accounts and warehouses; return those that it counts on.

        Raises `AccountLimitReached`, and then counts on none.
        """
        counts, limit = self._accounts[kind], self._limits.of_account(kind)
        distinct = tuple(dict.fromkeys(owners))
        for owner in distinct:
            if counts[owner] >= limit:
                raise AccountLimitReached(f"{kind} open", limit, owner=owner)
        for owner in distinct:
            counts[owner] += 1
        return distinct

    def closed_on(self, owners: Iterable[str], kind: Kind) -> None:
        """
        Count the end of a call that `opened_on` counted.
        """
        counts = self._accounts[kind]
        for owner in owners:
            counts[owner] -= 1
            if not counts[owner]:
                del counts[owner]

    def take_events(self, caller: str, events: Mapping[str, int]) -> LimitReached | None:
        """
        Count published events, which are given by account, or return the error that says how
        long they have to wait.
        """
        now = self._clock()
        wait = self._caller_events.wait_seconds(caller, now)
        if wait > 0:
            return CallerLimitReached(_EVENTS, self._caller_events.limit, _milliseconds(wait))
        for account in events:
            wait = self._account_events.wait_seconds(account, now)
            if wait > 0:
                limit = self._account_events.limit
                return AccountLimitReached(_EVENTS, limit, _milliseconds(wait), owner=account)
        self._caller_events.take([(caller, sum(events.values()))], now)
        self._account_events.take(events.items(), now)
        return None

    def _open_like(self, kind: Kind) -> int:
        if kind is Kind.CALL:
            return self._open[kind]
        return self._open[Kind.WATCH] + self._open[Kind.PUBLISH_STREAM]


def _milliseconds(seconds: float) -> timedelta:
    return timedelta(milliseconds=int(seconds * 1000) + 1)
