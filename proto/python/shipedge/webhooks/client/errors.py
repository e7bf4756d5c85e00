"""
Errors of the API as exceptions: the code, the reason and the fields that are at fault.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import grpc
from google.protobuf.message import DecodeError, Message
from google.rpc import code_pb2, error_details_pb2, status_pb2

DETAILS_KEY = "grpc-status-details-bin"
"""
The trailer that holds the `google.rpc.Status` of a call.
"""


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """
    A field of a request and the rule that it breaks, with the reason of its own.
    """

    field: str
    description: str
    reason: str


class ApiError(Exception):
    """
    What a service answered instead of a result.

    *code* is the canonical code, `INVALID_ARGUMENT` for example; *reason* one of
    `shipedge.webhooks.errors.v1.ErrorReason` without its prefix, empty if something between the
    caller and the service refused the call; *retry_after* is in seconds, `None` if the service
    asked for no time.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        reason: str = "",
        metadata: Mapping[str, str] | None = None,
        violations: Sequence[FieldViolation] = (),
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.reason = reason
        self.metadata = dict(metadata or {})
        self.violations = tuple(violations)
        self.retry_after = retry_after

    def __str__(self) -> str:
        return f"{self.code}{' / ' * bool(self.reason)}{self.reason}: {self.message}"


class PublisherClosedError(Exception):
    """
    The publisher is closed and takes no more events.
    """


class NotAnsweredError(Exception):
    """
    The publisher was closed before the service answered: the event may have been accepted, or
    not. Publish it again under the same id.
    """


def error_of_status(status: status_pb2.Status) -> ApiError:
    """
    Convert the status of a call, of an event or of an item of a batch.
    """
    info, bad, retry = (
        error_details_pb2.ErrorInfo(),
        error_details_pb2.BadRequest(),
        error_details_pb2.RetryInfo(),
    )
    asked = False
    for detail in status.details:
        detail.Unpack(info)
        detail.Unpack(bad)
        asked |= detail.Unpack(retry)
    return ApiError(
        _code_name(status.code),
        status.message,
        reason=info.reason,
        metadata=info.metadata,
        violations=[
            FieldViolation(it.field, it.description, it.reason) for it in bad.field_violations
        ],
        retry_after=retry.retry_delay.ToTimedelta().total_seconds() if asked else None,
    )


def error_of_call(error: grpc.RpcError) -> ApiError:
    """
    Convert the error of a call, with `grpc` or `grpc.aio`.
    """
    status = _status_of(error)
    if status is not None:
        return error_of_status(status)
    code = error.code() if isinstance(error, grpc.Call | grpc.aio.AioRpcError) else None
    details = error.details() if isinstance(error, grpc.Call | grpc.aio.AioRpcError) else None
    return ApiError(code.name if code else "UNKNOWN", details or str(error))


def _status_of(error: grpc.RpcError) -> status_pb2.Status | None:
    """
    Return the status in the trailers of a call, `None` if there is none that can be read.
    """
    if not isinstance(error, grpc.Call | grpc.aio.AioRpcError):
        return None
    for key, value in error.trailing_metadata() or ():
        if key == DETAILS_KEY:
            status = status_pb2.Status()
            return status if _parsed(status, value) else None
    return None


def _parsed(message: Message, content: str | bytes) -> bool:
    try:
        message.ParseFromString(content if isinstance(content, bytes) else content.encode())
    except DecodeError:
        return False
    return True


def _code_name(number: int) -> str:
    known = number in code_pb2.Code.values()
    return code_pb2.Code.Name(code_pb2.Code.ValueType(number)) if known else "UNKNOWN"
