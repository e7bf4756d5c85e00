"""
Errors on the wire.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import grpc
import pytest
from google.rpc import error_details_pb2

from service_runtime.rpc.errors import (
    MOST_FAULTS,
    FieldFault,
    FieldFaults,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
    RpcError,
    not_offered,
)
from service_runtime.rpc.status import read_error, read_status, status_of, to_status


def test_one_error_info_and_the_fields() -> None:
    """
    An error has exactly one ErrorInfo; its message says what its details say.
    """
    faults = [FieldFault("a.b", "must be 1"), FieldFault("c", "is required", "URL_INVALID")]
    status = to_status(InvalidArgument("Not valid.", faults=faults))

    infos = [it for it in status.details if it.Is(error_details_pb2.ErrorInfo.DESCRIPTOR)]
    detail = read_status(status)
    assert len(infos) == 1
    assert detail.code == "INVALID_ARGUMENT"
    assert detail.reason == "FIELD_INVALID"
    assert detail.faults == (replace(faults[0], reason="FIELD_INVALID"), faults[1])
    assert detail.metadata == {"fields": "a.b, c"}
    assert detail.message == "Not valid. a.b: must be 1; c: is required"


def test_metadata_holds_what_varies() -> None:
    """
    Every variable part of the message stands in the metadata.
    """
    detail = read_status(to_status(NotFound("No x.", reason="EVENT_NOT_FOUND", name="x")))

    assert (detail.reason, detail.metadata) == ("EVENT_NOT_FOUND", {"name": "x"})


def test_time_to_wait() -> None:
    """
    An error may say when to try again.
    """
    status = to_status(ResourceExhausted("Full.", retry_after=timedelta(seconds=2)))
    retry = error_details_pb2.RetryInfo()

    assert status.details[1].Unpack(retry)
    assert retry.retry_delay.seconds == 2


def test_faults_of_ours_show_nothing() -> None:
    """
    An unknown exception becomes INTERNAL with an id, never with its text.
    """
    detail = read_status(status_of(ValueError("postgresql://app:hunter2@db")))

    assert (detail.code, detail.reason) == ("INTERNAL", "INTERNAL_FAULT")
    assert "hunter2" not in detail.message
    assert detail.metadata["id"] in detail.message


def test_collected_faults() -> None:
    """
    All that is wrong is said at once; nothing wrong raises nothing.
    """
    faults = FieldFaults()
    faults.raise_if_any()
    faults.add("a", "x")
    faults.add("b", "y")

    with pytest.raises(InvalidArgument) as raised:
        faults.raise_if_any()

    assert [it.field for it in raised.value.faults] == ["a", "b"]
    assert len(faults) == 2


def test_each_fault_has_its_reason() -> None:
    """
    A fault without a reason has that of the error's class, not that of the first fault.
    """
    faults = [
        FieldFault("url", "must be https", "URL_INVALID"),
        FieldFault("status", "must be set"),
    ]

    detail = read_status(to_status(InvalidArgument("Not valid.", faults=faults)))

    assert detail.reason == "URL_INVALID"
    assert [it.reason for it in detail.faults] == ["URL_INVALID", "FIELD_INVALID"]


def test_not_offered() -> None:
    """
    A method of a later release says so.
    """
    detail = read_status(to_status(not_offered("SendTestEvent")))

    assert (detail.code, detail.reason) == ("UNIMPLEMENTED", "METHOD_UNIMPLEMENTED")


@pytest.mark.parametrize(
    "error",
    [
        InvalidArgument("Not valid.", faults=[FieldFault("f" * 300, "ü" * 9000)] * 60),
        InvalidArgument(
            "Not valid.", faults=[FieldFault(f"a[{n}]", "is wrong") for n in range(60)]
        ),
        InvalidArgument("Not valid.", faults=[FieldFault("event_type", "x" * 200_000)]),
        NotFound("x" * 30_000, name="ü" * 30_000),
    ],
)
def test_errors_fit_into_trailers(error: RpcError) -> None:
    """
    However much is wrong, message and details fit into the 16 KiB that gRPC lets through.
    """
    status = to_status(error)

    # The message is sent percent-encoded beside the details, which are sent in base 64.
    message = len(quote(status.message))
    assert message + len(b64encode(status.SerializeToString())) < 16 * 1024
    assert len(read_status(status).faults) <= MOST_FAULTS


def test_faults_that_are_not_shown_are_counted() -> None:
    """
    Of 23 faults 20 are shown, in full.
    """
    faults = [FieldFault(f"a[{n}]", "is wrong") for n in range(23)]
    error = InvalidArgument("Not valid.", faults=faults)

    assert [it.field for it in error.faults] == [it.field for it in faults[:20]]
    assert error.message.endswith("a[19]: is wrong; and 3 more")
    assert "a[19]" in error.metadata["fields"]
    assert "a[20]" not in error.metadata["fields"]


class _Torn(grpc.RpcError):
    """
    An error whose details are of another error, as the library makes it of trailers too long.
    """

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.RESOURCE_EXHAUSTED

    def details(self) -> str:
        return "Stream removed"

    def trailing_metadata(self) -> Any:
        status = to_status(NotFound("No x.", name="x"))
        return (("grpc-status-details-bin", status.SerializeToString()),)


def test_details_of_another_error_are_not_read() -> None:
    """
    Code and message are what is left.
    """
    detail = read_error(_Torn())

    assert (detail.code, detail.message) == ("RESOURCE_EXHAUSTED", "Stream removed")
    assert detail.reason == ""
