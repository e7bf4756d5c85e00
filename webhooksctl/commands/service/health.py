"""
`health`: whether both services serve.
"""

from __future__ import annotations

import time
from typing import Any

import grpc
import typer
from grpc_health.v1 import health_pb2, health_pb2_grpc

from shipedge.webhooks.client.errors import error_of_call
from webhooksctl.options.flags import Output
from webhooksctl.options.session import session_of
from webhooksctl.output.formats import Format, show_rows, write
from webhooksctl.words.failures import REFUSED

SECONDS = 5.0
"""
How long a service has to answer.
"""


def health(ctx: typer.Context, *, output: Output = Format.TABLE) -> None:
    """
    Say whether both services are ready for calls. Exits with 1 if one is not.
    """
    session = session_of(ctx)
    services, profile = session.services, session.profile
    found = [
        _checked("config", profile.config_address, services.config_channel),
        _checked("dispatch", profile.dispatch_address, services.dispatch_channel),
    ]
    if output is Format.TABLE:
        show_rows(
            ["Service", "Address", "Status", "Answered in", "Problem"],
            [list(it.values()) for it in found],
        )
    else:
        write(found, output)
    if any(it["status"] != "serving" for it in found):
        raise typer.Exit(REFUSED)


def _checked(service: str, address: str, channel: grpc.Channel) -> dict[str, str]:
    began = time.monotonic()
    status, problem = "unreachable", ""
    try:
        status = _status(channel)
    except grpc.RpcError as refused:
        problem = error_of_call(refused).message
    took = f"{(time.monotonic() - began) * 1000:.0f}ms"
    return {
        "service": service,
        "address": address,
        "status": status,
        "answered_in": took,
        "problem": problem,
    }


def _status(channel: grpc.Channel) -> str:
    stub: Any = health_pb2_grpc.HealthStub(channel)
    answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=SECONDS)
    name: str = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
    return name.replace("_", " ").lower()
