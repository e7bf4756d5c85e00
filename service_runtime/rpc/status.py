"""
Errors on the wire: `google.rpc.Status` with exactly one `ErrorInfo`.
"""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass

import grpc
import structlog
from google.protobuf import any_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from service_runtime.rpc.errors import DOMAIN, FieldFault, Internal, RpcError

TRACE_SECONDS = 60.0

log = structlog.get_logger()

# When the trace of an error was logged last, by its type, file and line.
_traced_at: dict[tuple[str, str, int], float] = {}


def to_status(error: RpcError, request_id: str = "") -> status_pb2.Status:
    """
    Convert an error to a status with its details; *request_id* is that of the call in the log.
    """
    info = error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=error.metadata)
    details = [_packed(info)]
    if error.faults:
        bad_request = error_details_pb2.BadRequest()
        for fault in error.faults:
            bad_request.field_violations.add(
                field=fault.field, description=fault.description, reason=fault.reason
            )
        details.append(_packed(bad_request))
    if error.retry_after is not None:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromTimedelta(error.retry_after)
        details.append(_packed(retry))
    if request_id:
        details.append(_packed(error_details_pb2.RequestInfo(request_id=request_id)))
    return status_pb2.Status(
        code=code_pb2.Code.Value(error.code), message=error.message, details=details
    )


def public_error(error: BaseException) -> RpcError:
    """
    Return the error that a caller may see.

    An unexpected error becomes `Internal` with an id under which the log has it, with its trace
    unless the same was logged within a minute. Its text is not shown.
    """
    if isinstance(error, RpcError):
        return error
    error_id = secrets.token_hex(6)
    trace = error if _is_new(error, time.monotonic()) else None
    log.error("rpc.fault", error_id=error_id, error_type=type(error).__name__, exc_info=trace)
    return Internal(f"A fault of the service; the log has it under {error_id}.", id=error_id)


def _is_new(error: BaseException, now: float) -> bool:
    """
    Tell whether the trace of an error of this kind and place was not logged for a minute.
    """
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    place = ("", 0) if frame is None else (frame.tb_frame.f_code.co_filename, frame.tb_lineno)
    kind = (type(error).__name__, *place)
    is_new = now - _traced_at.get(kind, -TRACE_SECONDS) >= TRACE_SECONDS
    if is_new:
        _traced_at[kind] = now
    return is_new


def status_of(error: BaseException) -> status_pb2.Status:
    """
    Convert any exception to the status that a caller may see.
    """
    return to_status(public_error(error))


@dataclass(frozen=True, slots=True)
class ErrorDetail:
    """
    The parts of an error of the API, as a client reads them.
    """

    code: str
    message: str
    reason: str
    metadata: dict[str, str]
    faults: tuple[FieldFault, ...]


def read_error(error: grpc.RpcError) -> ErrorDetail:
    """
    Read the error of a call; its reason is empty where it has no details, or details of another
    error than its code and message.
    """
    call: grpc.Call = error  # type: ignore[assignment]
    try:
        status = rpc_status.from_call(call)
    except ValueError:
        status = None
    if status is None:
        return ErrorDetail(call.code().name, call.details() or "", "", {}, ())
    return read_status(status)


def read_status(status: status_pb2.Status) -> ErrorDetail:
    """
    Read a status, for example of one event of a batch.
    """
    info, bad_request = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    for detail in status.details:
        if not detail.Unpack(info):
            detail.Unpack(bad_request)
    return ErrorDetail(
        code_pb2.Code.Name(status.code),
        status.message,
        info.reason,
        dict(info.metadata),
        tuple(
            FieldFault(it.field, it.description, it.reason) for it in bad_request.field_violations
        ),
    )


def _packed(
    message: error_details_pb2.ErrorInfo
    | error_details_pb2.BadRequest
    | error_details_pb2.RetryInfo,
) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed
