"""
What the log lines of a call, or of an attempt, are about: fields that each of them gets.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from contextvars import ContextVar
from itertools import count
from typing import Protocol

from service_runtime.rpc.tracing.spans import Span, SpanKind, tracing

REQUEST_ID = "x-request-id"
"""
The metadata with which a caller names its call; without it the service does.
"""

TRACE_PARENT = "traceparent"
"""
The metadata of W3C Trace Context.
"""

_GIVEN_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_TRACE_PARENT = re.compile(r"([0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}).*")
_NO_TRACE = "0" * 32

# A random number for each call would cost as much as ten of these.
_PROCESS = secrets.token_hex(5)
_numbers = count(1)


class LogSubject(Protocol):
    """
    What lines may be about.
    """

    def log_fields(self) -> Mapping[str, object]:
        """
        Return the fields of its lines.
        """
        ...


current_subject: ContextVar[LogSubject | None] = ContextVar("current_subject", default=None)
"""
What is being worked on in this task.
"""


class CallSubject:
    """
    A call: its id, its place in a trace, its method and its caller, as far as they are known.

    With a tracer, *trace_parent* is the place of the call's own span, below the one that the
    caller gave.
    """

    __slots__ = ("_given_parent", "caller", "method", "request_id", "trace_parent")

    def __init__(self, method: str) -> None:
        self.method = method
        self.caller = self.request_id = self.trace_parent = self._given_parent = ""

    def read(self, metadata: Mapping[str, str | bytes]) -> None:
        """
        Take the ids from the metadata of the call. What is malformed counts as not given.
        """
        if not self.request_id:
            self.request_id = request_id_of(metadata) or f"{_PROCESS}-{next(_numbers):x}"
            self.trace_parent = trace_parent_of(metadata)
            if tracing.tracer is not None:
                self._given_parent = self.trace_parent
                self.trace_parent = tracing.tracer.place(self.trace_parent, self.method)

    def span(self, code: str, start: float, seconds: float) -> Span | None:
        """
        Return the span of this call, which began at *start*, in seconds since 1970; None if it
        has none of its own.
        """
        if self.trace_parent == self._given_parent:
            return None
        service, _, method = self.method.lstrip("/").partition("/")
        return Span(
            f"{service}/{method}",
            SpanKind.SERVER,
            self.trace_parent,
            self._given_parent,
            start,
            seconds,
            {
                "rpc.system": "grpc",
                "rpc.service": service,
                "rpc.method": method,
                "rpc.response.status_code": code,
                "shipedge.caller": self.caller,
                "shipedge.request_id": self.request_id,
            },
            "" if code == "OK" else code,
        )

    def log_fields(self) -> Mapping[str, object]:
        """
        Return the fields of the lines of this call.
        """
        return {
            "request_id": self.request_id,
            "trace_id": trace_id_of(self.trace_parent),
            "method": self.method,
            "caller": self.caller,
        }


def request_id_of(metadata: Mapping[str, str | bytes]) -> str:
    """
    Return the id that a caller has given to its call: at most 64 letters, digits and `._:-`;
    empty if there is none.
    """
    given = metadata.get(REQUEST_ID)
    return given if isinstance(given, str) and _GIVEN_ID.fullmatch(given) else ""


def trace_parent_of(metadata: Mapping[str, str | bytes]) -> str:
    """
    Return the place of a call in its trace: 55 characters of W3C Trace Context; empty if it has
    none.
    """
    given = metadata.get(TRACE_PARENT)
    found = _TRACE_PARENT.fullmatch(given) if isinstance(given, str) else None
    return "" if found is None or found[2] == _NO_TRACE else found[1]


def trace_id_of(trace_parent: str | None) -> str:
    """
    Return the id of the trace of what `trace_parent_of` returned: 32 hexadecimal digits.
    """
    return trace_parent.split("-")[1] if trace_parent else ""


def current_trace_parent() -> str | None:
    """
    Return the place in a trace of the call that is being served; None if it has none.
    """
    subject = current_subject.get()
    return (subject.trace_parent or None) if isinstance(subject, CallSubject) else None
