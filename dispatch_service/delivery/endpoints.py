"""
The degraded endpoints, as this process knows them: from the outcomes of its own attempts, and
from the table, where other processes store theirs.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from random import random
from typing import TypeVar

import structlog

from dispatch_service.delivery import breakers
from dispatch_service.delivery.breakers import Breaker, EndpointVerdict
from dispatch_service.domain.concurrency import Concurrency
from dispatch_service.domain.outcomes import Outcome
from dispatch_service.domain.work import EndpointKey
from service_runtime.observability.dispatch_metrics import BREAKER_CHANGES

_Item = TypeVar("_Item")

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class OpenBreaker:
    """
    The breaker of an endpoint that gets nothing: *pause* is how long still, *trips* how often
    it opened without a success between. The outcome that opened it has *failure_kind*, None if
    that is not known, and *response_code*.
    """

    pause: timedelta
    trips: int
    failure_kind: str | None = None
    response_code: int | None = None


@dataclass(slots=True)
class _EndpointState:
    breaker: Breaker
    open_until: float = 0.0


class Endpoints:
    """
    Says how many requests each endpoint may get. Used by one event loop only.

    *cap* is how many a healthy endpoint may get at a time to begin with, and *most* up to how many
    that grows while more wait; without it, it does not grow.
    """

    def __init__(self, cap: int, most: int = 0) -> None:
        self.cap = cap
        self._most = most
        self._grown: dict[EndpointKey, Concurrency] = {}
        self._known: dict[EndpointKey, _EndpointState] = {}
        self._changes: dict[EndpointKey, OpenBreaker | None] = {}
        self._changed_at: dict[EndpointKey, float] = {}
        self._probed: set[EndpointKey] = set()

    def limit(self, key: EndpointKey) -> int:
        """
        Return how many requests an endpoint may get at a time.
        """
        known = self._known.get(key)
        return self._healthy_limit(key) if known is None else known.breaker.limit

    def want_more(self, key: EndpointKey) -> None:
        """
        Record that more deliveries wait for an endpoint than may start.
        """
        if self._most <= self.cap:
            return
        grown = self._grown.get(key)
        if grown is None:
            grown = self._grown[key] = Concurrency(self.cap, self._most)
        grown.want_more()

    def forget_grown(self, key: EndpointKey) -> None:
        """
        Let an endpoint for which nothing waits begin with *cap* again.
        """
        if self._grown:
            self._grown.pop(key, None)

    def is_open(self, key: EndpointKey) -> bool:
        """
        Tell whether only probes go to an endpoint.
        """
        known = self._known.get(key)
        return known is not None and known.breaker.open

    def open_breakers(self) -> Collection[EndpointKey]:
        """
        Return the endpoints for which nothing may be claimed now.
        """
        now = time.monotonic()
        return [key for key, it in self._known.items() if it.open_until > now]

    def degraded(self) -> int:
        """
        Count the degraded endpoints.
        """
        return len(self._known)

    def record_outcome(self, key: EndpointKey, outcome: Outcome, seconds: float = 0.0) -> bool:
        """
        Take the outcome of an attempt that took so many *seconds* into account; return whether it
        opened the breaker.
        """
        known = self._known.get(key)
        self._probed.discard(key)
        if known is None and outcome.succeeded:
            if (grown := self._grown.get(key)) is not None:
                grown.succeeded(seconds)
            return False
        before = known.breaker if known is not None else None
        verdict = breakers.judge(outcome)
        failed = verdict is EndpointVerdict.FAILURE
        if failed and known is not None and _is_open(known):
            # The attempt started before the breaker opened; it must not prolong the pause.
            return False
        now = breakers.after(before, verdict, self._healthy_limit(key))
        if (grown := self._grown.get(key)) is not None and not outcome.succeeded:
            (grown.halve if failed else grown.refused)()
        if failed and breakers.opens(now, outcome.retry_after):
            self._open(key, now or Breaker(1), outcome)
            return True
        if before is not None and before.open and (now is None or not now.open):
            self._change(key, None)
            BREAKER_CHANGES.add("closed")
            log.info("endpoint.closed", owner=key[0], endpoint=key[1])
        self._set_breaker(key, now)
        return False

    def probe_claimed(self, key: EndpointKey) -> None:
        """
        Record that a delivery was claimed for an endpoint: if its breaker is open, as its probe.
        """
        if self.is_open(key):
            self._probed.add(key)

    def probe_not_sent(self, key: EndpointKey) -> None:
        """
        Let another delivery be the probe of an endpoint, where one was claimed that needs no
        request.
        """
        known = self._known.get(key)
        if key in self._probed and known is not None:
            self._probed.discard(key)
            known.open_until = time.monotonic()
            self._change(key, OpenBreaker(timedelta(), known.breaker.trips))

    def slow_start(self, key: EndpointKey) -> None:
        """
        Start an endpoint with one request at a time: after a pause of its subscription much may
        wait for it.
        """
        self._known.setdefault(key, _EndpointState(Breaker(1)))

    def take_changes(self) -> Mapping[EndpointKey, OpenBreaker | None]:
        """
        Return what has to be stored: None for a breaker that is no longer open.
        """
        changes, self._changes = self._changes, {}
        return changes

    def put_back(self, changes: Mapping[EndpointKey, OpenBreaker | None]) -> None:
        """
        Keep changes that could not be stored for the next time; newer ones replace them.
        """
        self._changes = {**changes, **self._changes}

    def learn(self, stored: Mapping[EndpointKey, OpenBreaker], asked_at: float) -> None:
        """
        Take over the open breakers that the table had at *asked_at* on the monotonic clock.

        Breakers that changed here since are left alone: the table does not have them yet.
        """
        self._changed_at = {key: at for key, at in self._changed_at.items() if at >= asked_at}
        for key, opened in self._unchanged(stored.items()):
            self.forget_grown(key)
            breaker = Breaker(1, trips=opened.trips, open=True)
            self._known[key] = _EndpointState(breaker, asked_at + opened.pause.total_seconds())
        open_here = [(key, it) for key, it in self._known.items() if it.breaker.open]
        for key, known in self._unchanged(open_here):
            if key not in stored:
                # Another process closed it: the endpoint starts slowly here, too.
                self._set_breaker(key, replace(known.breaker, open=False, trips=0))

    def _unchanged(
        self, items: Iterable[tuple[EndpointKey, _Item]]
    ) -> list[tuple[EndpointKey, _Item]]:
        return [(key, it) for key, it in items if key not in self._changed_at]

    def _healthy_limit(self, key: EndpointKey) -> int:
        grown = self._grown.get(key)
        return self.cap if grown is None else grown.limit

    def _open(self, key: EndpointKey, breaker: Breaker, outcome: Outcome) -> None:
        self.forget_grown(key)
        opened, pause = breakers.opened(breaker, outcome.retry_after, random())  # noqa: S311 - jitter is no secret
        self._known[key] = _EndpointState(opened, time.monotonic() + pause.total_seconds())
        kind, code = outcome.failure_kind, outcome.status_code
        self._change(key, OpenBreaker(pause, opened.trips, kind, code))
        BREAKER_CHANGES.add("opened")
        log.warning(
            "endpoint.opened",
            owner=key[0],
            endpoint=key[1],
            kind=outcome.failure_kind,
            seconds=round(pause.total_seconds(), 1),
        )

    def _set_breaker(self, key: EndpointKey, breaker: Breaker | None) -> None:
        if breaker is None:
            self._known.pop(key, None)
        else:
            self._known[key] = _EndpointState(breaker)

    def _change(self, key: EndpointKey, opened: OpenBreaker | None) -> None:
        self._changes[key] = opened
        self._changed_at[key] = time.monotonic()


def _is_open(known: _EndpointState) -> bool:
    return known.open_until > time.monotonic()
