"""
How long the steps of one attempt take.
"""

import time
from enum import Enum

from dispatch_service.domain.outcomes import Timings

_MICROSECONDS = 1_000_000


class Phase(Enum):
    """
    A step of an attempt, with what to say when the deadline passes during it.
    """

    DNS = "the deadline passed while the host name was being resolved"
    CONNECT = "the deadline passed while connecting"
    TLS = "the deadline passed during the TLS handshake"
    ANSWER = "the deadline passed before an answer came"


class Stopwatch:
    """
    Notes how long each step of one attempt takes.

    It reads the monotonic clock itself: the time of some event loops moves in milliseconds.
    """

    __slots__ = ("_entered_at", "_phase", "_started_at", "_took", "deadline_at")

    def __init__(self, deadline_seconds: float) -> None:
        self._started_at = time.monotonic()
        self._entered_at = 0.0
        self._phase: Phase | None = None
        self._took: dict[Phase, int] = {}
        self.deadline_at = self._started_at + deadline_seconds

    @property
    def phase(self) -> Phase:
        """
        The step that is being taken.
        """
        return self._phase or Phase.ANSWER

    def enter(self, phase: Phase) -> None:
        """
        End the step before and begin another.
        """
        now = time.monotonic()
        if self._phase is not None:
            self._took[self._phase] = _micros(now - self._entered_at)
        self._phase, self._entered_at = phase, now

    def timings(self, first_byte_at: float | None = None) -> Timings:
        """
        Sum the attempt up, as it is ending now.
        """
        now = time.monotonic()
        first_byte_us, total_us = self._since_start(first_byte_at), self._since_start(now)
        if self._phase is None:
            return Timings(first_byte_us=first_byte_us, total_us=total_us)
        took = {**self._took, self._phase: _micros(now - self._entered_at)}
        return Timings(
            dns_us=took.get(Phase.DNS),
            connect_us=took.get(Phase.CONNECT),
            tls_us=took.get(Phase.TLS),
            first_byte_us=first_byte_us,
            total_us=total_us,
        )

    def _since_start(self, instant: float | None) -> int | None:
        return None if instant is None else _micros(instant - self._started_at)


def _micros(seconds: float) -> int:
    """
    Whole microseconds.
    """
    return round(seconds * _MICROSECONDS)
