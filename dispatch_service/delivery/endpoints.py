"""
The endpoints in trouble, as this process knows them: what its own attempts came
to, and what the table says that other processes have learnt.
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
from dispatch_service.delivery.breakers import Breaker, Verdict
from dispatch_service.domain.outcomes import Outcome
from dispatch_service.domain.work import EndpointKey

_Item = TypeVar("_Item")

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class OpenBreaker:
    """
    An endpoint that gets nothing for a while: *pause* is what is left of it.
    """

    pause: timedelta
    trips: int


@dataclass(slots=True)
class _Known:
    breaker: Breaker
    open_until: float = 0.0


class Endpoints:
    """
    Says how many requests each endpoint may get. Used by one event loop only.

    *cap* is what a healthy one may get at a time.
    """

    def __init__(self, cap: int) -> None:
        self._cap = cap
        self._known: dict[EndpointKey, _Known] = {}
        self._changes: dict[EndpointKey, OpenBreaker | None] = {}
        self._changed_at: dict[EndpointKey, float] = {}

    def limit(self, key: EndpointKey) -> int:
        """
        Return how many requests an endpoint may get at a time.
        """
        known = self._known.get(key)
        return self._cap if known is None else known.breaker.limit

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
        Count the endpoints in trouble.
        """
        return len(self._known)

    def note(self, key: EndpointKey, outcome: Outcome) -> bool:
        """
        Learn from an attempt; return whether the breaker of its endpoint opened.
        """
        known = self._known.get(key)
        if known is None and outcome.succeeded:
            return False
        before = known.breaker if known is not None else None
        verdict = breakers.judge(outcome)
        if verdict is Verdict.TROUBLE and known is not None and _is_open(known):
            return False  # begun before it opened: nothing new
        now = breakers.after(before, verdict, self._cap)
        if verdict is Verdict.TROUBLE and breakers.opens(now, outcome.retry_after):
            self._open(key, now or Breaker(1), outcome)
            return True
        if before is not None and before.open and (now is None or not now.open):
            self._change(key, None)
            log.info("endpoint.closed", owner=key[0], endpoint=key[1])
        self._keep(key, now)
        return False

    def slow_start(self, key: EndpointKey) -> None:
        """
        Begin with one request at a time: much may have gathered for a healthy endpoint.
        """
        self._known.setdefault(key, _Known(Breaker(1)))

    def take_changes(self) -> Mapping[EndpointKey, OpenBreaker | None]:
        """
        Return what has to be stored: None for an endpoint that is no longer open_breakers.
        """
        changes, self._changes = self._changes, {}
        return changes

    def put_back(self, changes: Mapping[EndpointKey, OpenBreaker | None]) -> None:
        """
        Return changes that could not be stored; newer ones stand.
        """
        self._changes = {**changes, **self._changes}

    def learn(self, stored: Mapping[EndpointKey, OpenBreaker], asked_at: float) -> None:
        """
        Take over what the table said when it was asked, *asked_at* on the monotonic clock.

        What changed here since is newer.
        """
        self._changed_at = {key: at for key, at in self._changed_at.items() if at >= asked_at}
        for key, open_breakers in self._foreign(stored.items()):
            until = asked_at + open_breakers.pause.total_seconds()
            self._known[key] = _Known(Breaker(1, trips=open_breakers.trips, open=True), until)
        open_here = [(key, it) for key, it in self._known.items() if it.breaker.open]
        for key, known in self._foreign(open_here):
            if key not in stored:
                self._keep(key, replace(known.breaker, open=False, trips=0))

    def _foreign(
        self, items: Iterable[tuple[EndpointKey, _Item]]
    ) -> list[tuple[EndpointKey, _Item]]:
        return [(key, it) for key, it in items if key not in self._changed_at]

    def _open(self, key: EndpointKey, breaker: Breaker, outcome: Outcome) -> None:
        opened, pause = breakers.opened(breaker, outcome.retry_after, random())  # noqa: S311 - jitter is no secret
        self._known[key] = _Known(opened, time.monotonic() + pause.total_seconds())
        self._change(key, OpenBreaker(pause, opened.trips))
        log.warning(
            "endpoint.opened",
            owner=key[0],
            endpoint=key[1],
            kind=outcome.failure_kind,
            seconds=round(pause.total_seconds(), 1),
        )

    def _keep(self, key: EndpointKey, breaker: Breaker | None) -> None:
        if breaker is None:
            self._known.pop(key, None)
        else:
            self._known[key] = _Known(breaker)

    def _change(self, key: EndpointKey, open_breakers: OpenBreaker | None) -> None:
        self._changes[key] = open_breakers
        self._changed_at[key] = time.monotonic()


def _is_open(known: _Known) -> bool:
    return known.open_until > time.monotonic()
