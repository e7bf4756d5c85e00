"""
The watch over TLS files: takes up new ones and warns before certificates expire.
"""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable, Sequence

import structlog

from service_runtime.observability import metrics
from service_runtime.tls.current import CurrentTls
from service_runtime.tls.material import DAY_SECONDS, TlsInvalidError

LOOK_SECONDS = 10.0
"""
How often the files are read again.
"""

WARN_DAYS = 30

log = structlog.get_logger()


class TlsWatch:
    """
    Looks at the files of *tls*, and tells each of *renewals* when they have changed.

    *clock* gives seconds of Unix time.
    """

    def __init__(
        self,
        tls: CurrentTls,
        renewals: Sequence[Callable[[], Awaitable[object]]] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._tls = tls
        self._renewals = renewals
        self._clock = clock
        self._warned_at = -math.inf
        metrics.TLS_CERTIFICATE_DAYS.read_with(self.days_left)

    def days_left(self) -> float:
        """
        Return the days until the service's own certificate expires.
        """
        return self._tls.material.seconds_left(self._clock()) / DAY_SECONDS

    async def run_once(self) -> None:
        """
        Take up what has changed; warn once a day of what expires.
        """
        try:
            changed = self._tls.refresh()
        except TlsInvalidError as refused:
            log.error("tls.refused", problem=str(refused))
            return
        if changed:
            log.info("tls.reloaded", count=math.floor(self.days_left()))
            self._warned_at = -math.inf
            for renew in self._renewals:
                await renew()
        self._warn()

    def _warn(self) -> None:
        now = self._clock()
        if now - self._warned_at < DAY_SECONDS:
            return
        self._warned_at = now
        if self.days_left() < WARN_DAYS:
            log.warning("tls.certificate_expires", count=math.floor(self.days_left()))
        stale_after = self._tls.material.revocations.stale_after
        if stale_after is not None and stale_after < now:
            log.warning("tls.revocations_stale", problem="the authority has a newer list")
