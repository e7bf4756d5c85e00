"""
Logs: one line with named fields for each unit of work.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

import structlog

from service_runtime.observability.traces import trace_text
from service_runtime.rpc.gate.log_context import current_subject

LIBRARY_SECONDS = 60.0

_LONGEST_TEXT = 500
log = structlog.get_logger()

_ALWAYS = frozenset({"event", "level", "timestamp", "exception", "exc_info", "stack_info"})

ALLOWED = _ALWAYS | {
    "account", "action", "address", "attempt", "attempts", "bytes", "caller", "changes", "code",
    "config_address", "count", "dead", "deaths", "deliveries", "delivery", "detail",
    "domain_event", "duration_ms", "endpoint", "environment", "error", "error_id", "error_type",
    "event_type", "events", "failure_kind", "job", "kind", "limit", "listen", "logger", "method",
    "name", "number", "owner", "payload_version", "port", "problem", "process", "reason",
    "request_id", "requested_by", "resource", "response_code", "revision", "seconds", "service",
    "signal", "state", "store", "subscription", "subscriptions", "token_listen", "trace_id",
    "trigger", "url", "version", "waiting", "worker",
}  # fmt: skip
"""
The fields that may be logged. Others are dropped and only named, so that no secret is logged.
"""


def configure(*, level: str, console: bool, worker: int = 0) -> None:
    """
    Write all logs to standard error, for people or one JSON object a line.

    *worker* is the number of this process among several; each line has it.
    """
    shared: list[Any] = [
        *([_naming(worker)] if worker else []),
        with_subject,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.ExceptionRenderer(_trace),
        only_allowed,
    ]
    renderer: Any = (
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
        if console
        else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[level.upper()]
        ),
        # Each line is one write, so that lines of several processes do not mix.
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, handlers=[LibraryLines()], force=True)


@dataclass(slots=True)
class _Logged:
    at: float
    left_out: int = 0


class LibraryLines(logging.Handler):
    """
    Writes what libraries log as lines of ours. What the same line of their code logs again within
    a minute is counted. *clock* gives seconds that only grow.

    Of a message only the first line is shown: the event loop puts errors with their values into
    the next ones.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._logged: dict[tuple[str, int, int], _Logged] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """
        Write a line, or count it. Called by one thread at a time.
        """
        place, now = (record.pathname, record.lineno, record.levelno), self._clock()
        known = self._logged.get(place)
        if known is not None and now - known.at < LIBRARY_SECONDS:
            known.left_out += 1
            return
        count = None if known is None else known.left_out or None
        self._logged[place] = _Logged(now)
        text = record.getMessage().partition("\n")[0]
        write = log.error if record.levelno >= logging.ERROR else log.warning
        trace = record.exc_info
        write("library.logged", logger=record.name, detail=text, count=count, exc_info=trace)


def _trace(exc_info: tuple[Any, BaseException, Any]) -> str:
    return trace_text(exc_info[1])


def _naming(worker: int) -> Any:
    def named(
        _logger: object, _method: str, fields: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        fields["worker"] = worker
        return fields

    return named


def with_subject(
    _logger: object, _method: str, fields: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """
    Add the fields of the call or the attempt that is being worked on; those of the line win.
    """
    subject = current_subject.get()
    if subject is not None:
        for name, value in subject.log_fields().items():
            fields.setdefault(name, value)
    return fields


def only_allowed(
    _logger: object, _method: str, fields: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """
    Drop fields that are not allowed, and those without a value; shorten long texts.
    """
    for name in [name for name, value in fields.items() if value is None or value == ""]:
        del fields[name]
    dropped = [name for name in fields if name not in ALLOWED]
    for name in dropped:
        del fields[name]
    if dropped:
        fields["detail"] = f"fields not allowed in logs: {', '.join(sorted(dropped))}"
    for name, value in fields.items():
        if isinstance(value, str) and len(value) > _LONGEST_TEXT and name != "exception":
            fields[name] = value[:_LONGEST_TEXT] + "…"
    return fields
