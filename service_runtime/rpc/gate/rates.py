"""
Events a second. No I/O, no clock: instants are passed in, in seconds.
"""

from __future__ import annotations

from collections.abc import Iterable


class EventRate:
    """
    Counts events of one caller or account, *limit* a second with a second's worth at once.

    A batch is counted as a whole: it passes while anything is left, and what it takes beyond
    that has to be waited for. So a batch that is larger than the limit passes, too.
    """

    __slots__ = ("_left", "_limit", "_seen")

    def __init__(self, limit: int, now: float) -> None:
        self._limit = limit
        self._left = float(limit)
        self._seen = now

    def wait_seconds(self, now: float) -> float:
        """
        Return for how many seconds no batch passes; 0 if one passes now.
        """
        left = self._left + (now - self._seen) * self._limit
        return 0.0 if left > 0 else -left / self._limit + 1.0 / self._limit

    def take(self, events: int, now: float) -> None:
        """
        Count a batch that passed.
        """
        left = self._left + (now - self._seen) * self._limit
        self._left, self._seen = min(left, float(self._limit)) - events, now

    def idle(self, now: float) -> bool:
        """
        Tell whether it is as if nothing had ever been counted.
        """
        return self._left + (now - self._seen) * self._limit >= self._limit


class EventRates:
    """
    The rates of many accounts or callers, by name. A *limit* of 0 counts nothing.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._rates: dict[str, EventRate] = {}
        self._swept = 0.0

    def wait_seconds(self, name: str, now: float) -> float:
        """
        Return for how many seconds no batch of *name* passes; 0 if one passes now.
        """
        rate = self._rates.get(name)
        return 0.0 if rate is None else rate.wait_seconds(now)

    def take(self, counts: Iterable[tuple[str, int]], now: float) -> None:
        """
        Count the events of a batch that passed, by name.
        """
        if not self.limit:
            return
        self._sweep(now)
        for name, events in counts:
            rate = self._rates.get(name)
            if rate is None:
                rate = self._rates[name] = EventRate(self.limit, now)
            rate.take(events, now)

    def _sweep(self, now: float) -> None:
        """
        Forget what is as good as new, once a second, so that names do not pile up.
        """
        if now - self._swept >= 1.0:
            self._swept = now
            self._rates = {name: it for name, it in self._rates.items() if not it.idle(now)}
