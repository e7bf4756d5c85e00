"""
Spans of what is done for a call, and the tracer that takes them, if there is one.

A span is described when it has ended. Its place, as the `traceparent` of W3C Trace Context, is
known before: it goes with what is done for it, to the database and to receivers.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol


class SpanKind(Enum):
    """
    The kinds of OpenTelemetry that there are here.
    """

    SERVER = "server"
    CLIENT = "client"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True)
class Span:
    """
    A span that has ended. *place* and *parent* are `traceparent`s, *parent* empty for the first
    of a trace; *start* is in seconds since 1970.

    *failure* is the kind of what went wrong, never its text, which may name values.
    """

    name: str
    kind: SpanKind
    place: str
    parent: str
    start: float
    seconds: float
    attributes: Mapping[str, str | int] = field(default_factory=dict)
    failure: str = ""


class Tracer(Protocol):
    """
    Where spans go.
    """

    def place(self, parent: str, name: str) -> str:
        """
        Return the place of a new span under *parent*, or of the first one of a trace if that is
        empty. If it is not recorded that is *parent* itself.
        """
        ...

    def record(self, spans: Sequence[Span]) -> None:
        """
        Take spans. Raises nothing and does not wait.
        """
        ...


class Tracing:
    """
    The tracer of this process; None if there is none.
    """

    def __init__(self) -> None:
        self.tracer: Tracer | None = None


tracing = Tracing()


def is_recorded(place: str | None) -> bool:
    """
    Tell whether the spans under a place are recorded: W3C Trace Context, flag `sampled`.
    """
    return bool(place) and int(str(place)[-2:], 16) & 1 == 1


def wall_time(monotonic: float) -> float:
    """
    Return the seconds since 1970 of a time on the monotonic clock.
    """
    return time.time() - (time.monotonic() - monotonic)
