"""
The log lines of calls, and what callers get to find them.
"""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from structlog.testing import capture_logs

from service_runtime.observability.logs import only_allowed, with_subject
from service_runtime.process.failures import StoreFaults
from service_runtime.rpc import status
from service_runtime.rpc.errors import ShuttingDown
from tests.integration.service_runtime.rpc.test_server import Behaviour, Missing, serving, unary

pytestmark = pytest.mark.anyio

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
IDS = (("x-request-id", "export-7"), ("traceparent", f"00-{TRACE}-00f067aa0ba902b7-01"))


async def lines_of(behaviour: Behaviour, *, calls: int = 1, **options: Any) -> list[Any]:
    """
    Return the lines of calls with ids, as they are written.
    """
    ids = set()
    with capture_logs(processors=[with_subject, only_allowed]) as logs:
        async with serving(behaviour, **options) as connection:
            for _ in range(calls):
                try:
                    await unary(connection, metadata=IDS)
                except grpc.aio.AioRpcError as error:
                    ids.add(request_id_of(error))
    assert ids <= {"export-7"}
    return logs


def request_id_of(error: grpc.aio.AioRpcError) -> str:
    """
    Return the request id of an error.
    """
    details = rpc_status.from_call(error).details
    found = error_details_pb2.RequestInfo()
    (packed,) = (it for it in details if it.Is(found.DESCRIPTOR))
    packed.Unpack(found)
    return str(found.request_id)


async def test_line_of_a_call_has_its_ids() -> None:
    """
    Those of the caller; what has no value is left out.
    """
    (line,) = await lines_of(Behaviour())

    assert line["request_id"] == "export-7"
    assert line["trace_id"] == TRACE
    assert line["method"] == "/test.Service/Unary"
    assert line["caller"] == "callers/development"
    assert (line["code"], line["log_level"]) == ("OK", "info")
    assert "reason" not in line


@pytest.mark.parametrize(
    ("error", "code", "level"),
    [
        (Missing("There is no x."), "NOT_FOUND", "info"),
        (ShuttingDown(), "UNAVAILABLE", "info"),
        (ValueError("a bug"), "INTERNAL", "warning"),
    ],
)
async def test_level_says_whose_fault_it_is(error: Exception, code: str, level: str) -> None:
    """
    A caller's mistake is no warning.
    """
    logs = await lines_of(Behaviour(error))

    (line,) = (it for it in logs if it["event"] == "rpc.served")
    assert (line["code"], line["log_level"]) == (code, level)
    assert {it["request_id"] for it in logs} == {"export-7"}


async def test_bug_has_its_trace_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Each caller gets an id that the log has; a thousand traces of one bug would hide all else.
    """
    monkeypatch.setattr(status, "_traced_at", {})
    logs = await lines_of(Behaviour(ValueError("a bug")), calls=3)

    faults = [it for it in logs if it["event"] == "rpc.fault"]
    assert len({it["error_id"] for it in faults}) == 3
    assert ["exc_info" in it for it in faults] == [True, False, False]


async def test_database_that_is_away_is_one_line() -> None:
    """
    Not one for each call that fails meanwhile; those have their own, with the reason.
    """
    refused = Behaviour(ConnectionRefusedError("no database"))
    logs = await lines_of(refused, calls=3, store_is_away=StoreFaults().unavailable)

    events = [it["event"] for it in logs]
    assert events.count("rpc.store_unavailable") == 1
    assert [it["reason"] for it in logs if it["event"] == "rpc.served"] == ["STORE_UNAVAILABLE"] * 3


async def test_call_without_ids_gets_one() -> None:
    """
    The caller learns it with an error.
    """
    with capture_logs(processors=[with_subject]) as logs:
        async with serving(Behaviour(Missing("There is no x."))) as connection:
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await unary(connection)

    assert logs[0]["request_id"] == request_id_of(raised.value) != ""
