"""
The command line of a service.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, NoReturn, TypeVar

import grpc
import structlog
import uvloop
from grpc_health.v1 import health_pb2, health_pb2_grpc

from service_runtime.database.migrations import check_current, migrate
from service_runtime.database.revisions.phases import Step
from service_runtime.database.usable import DatabaseUnusableError
from service_runtime.keys.hardening import keep_secrets
from service_runtime.keys.rotation import KeysMissingError
from service_runtime.observability import logs
from service_runtime.observability.traces import database_problem
from service_runtime.observability.tracing import ExtraMissingError
from service_runtime.process.lifecycle import (
    StartRefusedError,
    allow_files,
    ignore_hangup,
    return_large_memory,
)
from service_runtime.process.worker_reports import ControlChannel
from service_runtime.process.workers import WorkerFailedError
from service_runtime.rpc.health import LIVENESS
from service_runtime.rpc.server import PortTakenError
from service_runtime.settings.ignored_variables import ignore_variables
from service_runtime.settings.reading import SettingsInvalidError, read_settings
from service_runtime.settings.service import ServiceSettings
from service_runtime.settings.table import describe
from service_runtime.tls.material import TlsInvalidError
from shipedge.webhooks.client import channel

log = structlog.get_logger()

SettingsT = TypeVar("SettingsT", bound=ServiceSettings)
PROBE_SECONDS = 3.0

REFUSALS = (
    DatabaseUnusableError,
    ExtraMissingError,
    KeysMissingError,
    PermissionError,
    PortTakenError,
    StartRefusedError,
    TlsInvalidError,
)
"""
What keeps a service from starting, with a message for the operator.
"""


@dataclass(frozen=True, slots=True)
class WorkerOption(Generic[SettingsT]):
    """
    The option of a service to have several workers: the *setting* with their number, which
    `--workers` overrides, and the function with which one of them serves.
    """

    setting: str
    serve: Callable[[SettingsT, ControlChannel], Awaitable[None]]


def main(
    package: str,
    kind: type[SettingsT],
    serve: Callable[[SettingsT], Awaitable[None]],
    workers: WorkerOption[SettingsT] | None = None,
) -> None:
    """
    Run a service or one of its other commands. The exit code is 0 if it succeeded.
    """
    ignore_hangup()
    ignored = ignore_variables(os.environ)
    asked = _parser(package, workers).parse_args()
    if asked.command == "settings":
        print_settings(kind)
        return
    try:
        settings = read_settings(kind, _environment(asked, workers))
    except SettingsInvalidError as refused:
        sys.exit(f"{package}: these settings cannot be used:\n{refused}")
    control = ControlChannel(*asked.control) if asked.control else None
    logs.configure(
        level=settings.log_level,
        console=settings.console_log,
        worker=0 if control is None else control.number,
    )
    allow_files(settings.open_files())
    keep_secrets(production=settings.production, database=settings.database_file())
    if asked.command == "probe":
        _probe(package, settings, LIVENESS if asked.liveness else "")
    if control is None and asked.command == "serve":
        warn_of_exposure(settings)
        if ignored:
            log.warning("environment.ignored", name=", ".join(ignored))
    if asked.command == "migrate":
        change = check_current if asked.check else migrate
        work: Awaitable[object] = change(settings.database(), package, asked.step)
    elif control is not None and workers is not None:
        work = workers.serve(settings, control)
    else:
        work = serve(settings)
    _run(package, work)


def _probe(package: str, settings: ServiceSettings, service: str) -> NoReturn:
    try:
        sys.exit(0 if asyncio.run(probe(settings, service)) else 1)
    except TlsInvalidError as refused:
        sys.exit(f"{package}: {refused}")


def _parser(package: str, workers: WorkerOption[Any] | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m {package}")
    parser.add_argument(
        "command",
        nargs="?",
        default="serve",
        choices=("serve", "migrate", "probe", "settings"),
        help="serve (the default); bring the database up to date; ask a running service"
        " whether it serves; list the settings",
    )
    parser.add_argument(
        "--liveness",
        action="store_true",
        help="probe: ask only whether the process answers, not whether it gets work done",
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="migrate: change nothing, and fail unless the database is up to date",
    )
    _add_steps(parser)
    parser.set_defaults(workers=None, control=None)
    if workers is not None:
        parser.add_argument(
            "--workers", metavar="N", help=f"serve with so many processes, as {workers.setting}"
        )
        # The supervisor gives a worker its number and the descriptor of its socket.
        parser.add_argument("--control", nargs=2, type=int, help=argparse.SUPPRESS)
    return parser


def _add_steps(parser: argparse.ArgumentParser) -> None:
    steps = parser.add_mutually_exclusive_group()
    steps.add_argument(
        "--expand",
        dest="step",
        action="store_const",
        const=Step.EXPAND,
        help="migrate: only what the version before works with, too; before an upgrade",
    )
    steps.add_argument(
        "--contract",
        dest="step",
        action="store_const",
        const=Step.CONTRACT,
        help="migrate: what the version before needs; when none of its processes runs any more",
    )
    parser.set_defaults(step=Step.ALL)


def _environment(asked: argparse.Namespace, workers: WorkerOption[Any] | None) -> Mapping[str, str]:
    if workers is None or asked.workers is None:
        return os.environ
    return {**os.environ, workers.setting: asked.workers}


def _run(package: str, work: Awaitable[object]) -> None:
    return_large_memory()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_awaited(work))
    except REFUSALS as refused:
        sys.exit(f"{package}: {refused}")
    except WorkerFailedError as failed:
        print(f"{package}: {failed}", file=sys.stderr)  # noqa: T201 - as the others' messages
        sys.exit(failed.code)
    except Exception as error:
        log.error(
            "service.failed",
            service=package,
            error_type=type(error).__name__,
            problem=database_problem(error),
            exc_info=error,
        )
        sys.exit(1)


async def _awaited(work: Awaitable[object]) -> None:
    await work


def warn_of_exposure(settings: ServiceSettings) -> None:
    """
    Log what others on this machine, or in its networks, can do.
    """
    if not settings.production:
        log.warning(
            "environment.development",
            problem="every program on this machine may do everything, without a certificate",
        )
    for name, listen in settings.unprotected_listeners().items():
        log.warning(
            "listener.unprotected",
            name=name,
            listen=listen,
            problem="no TLS and no callers: let only operators reach it",
        )


def print_settings(kind: type[ServiceSettings]) -> None:
    """
    Print the settings of a service as rows of a table.
    """
    print("| setting | default | meaning |\n| --- | --- | --- |")  # noqa: T201 - the answer itself
    for name, default, meaning in describe(kind):
        shown = f"`{default}`" if default else ""
        print(f"| `{name}` | {shown} | {meaning} |")  # noqa: T201 - the answer itself


async def probe(settings: ServiceSettings, service: str = "") -> bool:
    """
    Return whether the service that listens on the address in *settings* is SERVING, under the
    name *service* of the health service.
    """
    tls = settings.tls("client")
    credentials = None if tls is None else tls.channel_credentials()
    host, _, port = settings.listen.rpartition(":")
    # The certificate has names of hosts: a service that listens everywhere is asked as localhost.
    address = f"localhost:{port}" if host in {"0.0.0.0", "[::]"} else settings.listen  # noqa: S104
    async with channel.connect(address, credentials) as connection:
        stub = health_pb2_grpc.HealthStub(connection)
        try:
            answer = await stub.Check(
                health_pb2.HealthCheckRequest(service=service), timeout=PROBE_SECONDS
            )
        except grpc.aio.AioRpcError:
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)
