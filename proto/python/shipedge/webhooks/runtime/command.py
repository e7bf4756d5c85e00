"""
The command line of a service.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from typing import TypeVar

import grpc
import uvloop
from grpc_health.v1 import health_pb2, health_pb2_grpc

from shipedge.webhooks.rpc import channel, tls
from shipedge.webhooks.rpc.server import PortTakenError
from shipedge.webhooks.runtime import logs
from shipedge.webhooks.runtime.key_rotation import KeysMissingError
from shipedge.webhooks.runtime.migrations import migrate
from shipedge.webhooks.runtime.process import SecondProcessError
from shipedge.webhooks.runtime.settings import (
    ServiceSettings,
    SettingsInvalidError,
    read_settings,
)
from shipedge.webhooks.runtime.settings_table import describe

SettingsT = TypeVar("SettingsT", bound=ServiceSettings)
PROBE_SECONDS = 3.0


def main(
    package: str, kind: type[SettingsT], serve: Callable[[SettingsT], Awaitable[None]]
) -> None:
    """
    Run a service, or one of the commands beside it; exit with 0 if all went well.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {package}")
    parser.add_argument(
        "command",
        nargs="?",
        default="serve",
        choices=("serve", "migrate", "probe", "settings"),
        help="serve (the default); bring the database up to date; ask a running service"
        " whether it serves; list the settings",
    )
    command = parser.parse_args().command
    if command == "settings":
        print_settings(kind)
        return
    try:
        settings = read_settings(kind, os.environ)
    except SettingsInvalidError as refused:
        sys.exit(f"{package}: these settings cannot be used:\n{refused}")
    logs.configure(level=settings.log_level, console=settings.console_log)
    if command == "probe":
        sys.exit(0 if asyncio.run(probe(settings)) else 1)
    try:
        work = migrate(settings.database(), package) if command == "migrate" else serve(settings)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_awaited(work))
    except (PortTakenError, SecondProcessError, KeysMissingError, PermissionError) as refused:
        sys.exit(f"{package}: {refused}")


async def _awaited(work: Awaitable[None]) -> None:
    await work


def print_settings(kind: type[ServiceSettings]) -> None:
    """
    Print the settings of a service as rows of a table.
    """
    print("| setting | default | meaning |\n| --- | --- | --- |")  # noqa: T201 - the answer itself
    for name, default, meaning in describe(kind):
        shown = f"`{default}`" if default else ""
        print(f"| `{name}` | {shown} | {meaning} |")  # noqa: T201 - the answer itself


async def probe(settings: ServiceSettings) -> bool:
    """
    Ask the service that listens where *settings* say whether it serves.
    """
    files = settings.tls_files()
    credentials = None if files is None else tls.channel_credentials(*files)
    host, _, port = settings.listen.rpartition(":")
    # The certificate names hosts: one that listens everywhere is asked as localhost.
    address = f"localhost:{port}" if host in {"0.0.0.0", "[::]"} else settings.listen  # noqa: S104
    async with channel.connect(address, credentials) as connection:
        stub = health_pb2_grpc.HealthStub(connection)
        try:
            answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=PROBE_SECONDS)
        except grpc.aio.AioRpcError:
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)
