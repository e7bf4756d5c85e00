"""
Log lines about many things that may repeat: of each thing the first line at once, then one line
a minute with the number of those that were left out.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass

import structlog

from service_runtime.rpc.gate.timer import WorkTimer

SUM_SECONDS = 60.0
MOST_KEYS = 10_000

log = structlog.get_logger()


@dataclass(slots=True)
class _Repeated:
    fields: Mapping[str, object]
    count: int = 0


class SampledLines:
    """
    Logs warnings as *event*, by the keys of the things that they are about. For one event loop.

    A thing of which there was nothing for *seconds* begins anew; of more than *most* things the
    one that came first is forgotten.
    """

    def __init__(self, event: str, *, seconds: float = SUM_SECONDS, most: int = MOST_KEYS) -> None:
        self._event = event
        self._most = most
        self._known: dict[Hashable, _Repeated] = {}
        self._timer = WorkTimer(seconds, self._sum_again)

    def log(self, key: Hashable, **fields: object) -> None:
        """
        Log a line with *fields*, or count it; the sum has the fields of the last one.
        """
        known = self._known.get(key)
        if known is None:
            self._first(key, fields)
            log.warning(self._event, **fields)
        else:
            known.fields = fields
            known.count += 1

    def sum_up(self) -> None:
        """
        Log the lines that were left out since the last sum, and forget the things of which there
        were none.
        """
        for key, known in list(self._known.items()):
            if known.count:
                self._log_sum(known)
                known.count = 0
            else:
                del self._known[key]

    def _first(self, key: Hashable, fields: Mapping[str, object]) -> None:
        if len(self._known) >= self._most:
            self._log_sum(self._known.pop(next(iter(self._known))))
        self._timer.start()
        self._known[key] = _Repeated(fields)

    def _sum_again(self) -> bool:
        self.sum_up()
        return bool(self._known)

    def _log_sum(self, known: _Repeated) -> None:
        if known.count:
            log.warning(self._event, **known.fields, count=known.count)
