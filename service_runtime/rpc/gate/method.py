"""
What the gate knows of a server and of its methods.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import grpc

from service_runtime.rpc.callers import Caller, Identify
from service_runtime.rpc.errors import ShuttingDown
from service_runtime.rpc.gate.deadlines import Deadline
from service_runtime.rpc.gate.limits import Kind
from service_runtime.rpc.gate.open_streams import OpenStreams
from service_runtime.rpc.gate.refusals import Refusals
from service_runtime.rpc.gate.usage import Usage

Context = grpc.aio.ServicerContext[Any, Any]

Authorise = Callable[[Caller, str, Any], Sequence[str]]
"""
Returns the owners that a request names. Raises `PermissionDenied` if a caller may not send it.
"""

CheckBytes = Callable[[bytes], None]
"""
Checks a message before it is decoded. Raises the error with which it is refused.
"""

Measure = Callable[[str, str, float], None]
"""
Receives the method, the code and the seconds of each call.
"""

CountRefusal = Callable[[str], None]
"""
Receives the reason of each call that was refused before its method saw it.
"""

StoreIsAway = Callable[[Exception], bool]
"""
Tells whether an error means that the database does not answer.
"""


class OpenCalls:
    """
    The *count* of the calls of a server that are open; whether it is *refusing* new ones.
    """

    def __init__(self) -> None:
        self.count = 0
        self.refusing = False

    def check(self) -> None:
        """
        Raise `ShuttingDown` if new calls are refused.
        """
        if self.refusing:
            raise ShuttingDown


@runtime_checkable
class CountsCalls(Protocol):
    """
    An interceptor that knows which calls are open.
    """

    calls: OpenCalls


@dataclass(frozen=True, slots=True)
class Gate:
    """
    What all calls of a server share. *receipt* bounds how long a call waits for its message.
    """

    identify: Identify
    authorise: Authorise
    measure: Measure
    count_refusal: CountRefusal
    store_is_away: StoreIsAway
    usage: Usage
    refusals: Refusals
    streams: OpenStreams
    receipt: Deadline
    calls: OpenCalls


@dataclass(frozen=True, slots=True)
class Method:
    """
    A method as the gate sees it: *path*, what a call of it uses, and how it is logged.

    *check* sees the bytes of messages of methods that publish; only those may be larger than
    others. *quiet* methods log their successes at debug level only.
    """

    path: str
    kind: Kind
    read: Callable[[bytes], Any] | None
    quiet: bool = False
    check: CheckBytes | None = None
    authorised: bool = True
