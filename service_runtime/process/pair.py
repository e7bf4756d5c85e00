"""
The command that runs both services and the console as its children, in development unless the
environment says otherwise: `python -m service_runtime.process.pair`.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from service_runtime.observability.tasks import start_awaited
from shipedge.webhooks.client import channel

START_SECONDS = 60.0
STOP_SECONDS = 40.0
PROBE_SECONDS = 0.2

_LISTEN = {
    "config_service": ("SHIPEDGE_CONFIG_LISTEN", "127.0.0.1:50051"),
    "dispatch_service": ("SHIPEDGE_DISPATCH_LISTEN", "127.0.0.1:50052"),
    "console": ("SHIPEDGE_CONSOLE_LISTEN", "127.0.0.1:50080"),
}

SERVICES = ("config_service", "dispatch_service")

_HINTS = """
Both services are up: configuration on {config}, dispatch on {dispatch}. The data is in
{data}.{console}

  grpcurl -plaintext {config} list
  grpcurl -plaintext {config} shipedge.webhooks.config.v1.ConfigService/ListEventTypes
  grpcurl -plaintext {dispatch} describe shipedge.webhooks.dispatch.v1.PublisherService

The README has a tour of five minutes; `make demo` shows it all by itself. Ctrl-C stops both.
"""


class ServiceEndedError(Exception):
    """
    A service ended without being asked to.
    """


class AlreadyRunningError(Exception):
    """
    The services run already, or another process has one of their addresses.
    """


def address_of(package: str, environment: Mapping[str, str]) -> str:
    """
    Return the address on which a service listens.
    """
    name, default = _LISTEN[package]
    return environment.get(name, default)


def programs(environment: Mapping[str, str]) -> Sequence[str]:
    """
    Return what this command runs, in the order of their start: the console is for development.
    """
    development = environment.get("SHIPEDGE_ENVIRONMENT") == "development"
    return (*SERVICES, "console") if development else SERVICES


def _with_addresses(environment: Mapping[str, str]) -> Mapping[str, str]:
    return {
        "SHIPEDGE_CONSOLE_CONFIG_ADDRESS": address_of("config_service", environment),
        "SHIPEDGE_CONSOLE_DISPATCH_ADDRESS": address_of("dispatch_service", environment),
        **environment,
    }


def _console_line(environment: Mapping[str, str]) -> str:
    if "console" not in programs(environment):
        return ""
    return f"\nThe console is on http://{address_of('console', environment)}"


def data_of(environment: Mapping[str, str]) -> str:
    """
    Return the data directory of both services.
    """
    return environment.get("SHIPEDGE_DATA_DIR", "./data")


@contextmanager
def only_pair(environment: Mapping[str, str]) -> Iterator[None]:
    """
    Lock the data directory for this command, and see that the addresses are free.

    Raises `AlreadyRunningError`: otherwise the services that run would answer for those that
    cannot start.
    """
    config, dispatch = (address_of(package, environment) for package in SERVICES)
    path = Path(data_of(environment)) / "pair.lock"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise AlreadyRunningError(
                f"both services run already, started by process {file.read().strip()} with the"
                f" data in {path.parent}: configuration on {config}, dispatch on {dispatch}"
            ) from None
        for package in programs(environment):
            _check_free(package, environment)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def _check_free(package: str, environment: Mapping[str, str]) -> None:
    address, setting = address_of(package, environment), _LISTEN[package][0]
    host, _, port = address.rpartition(":")
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        if probe.connect_ex((host.strip("[]"), int(port))) == 0:
            raise AlreadyRunningError(
                f"{package} cannot listen on {address}: another process does; stop it, or set"
                f" {setting} to another address"
            )


def command(package: str) -> tuple[str, ...]:
    """
    Return the command that runs a service with this interpreter.
    """
    return (sys.executable, "-m", package)


async def start(package: str, environment: Mapping[str, str]) -> asyncio.subprocess.Process:
    """
    Start a service as a child in a process group of its own, so that Ctrl-C reaches only the
    parent.
    """
    return await asyncio.create_subprocess_exec(
        *command(package), env=dict(environment), start_new_session=True
    )


async def wait_serving(address: str, child: asyncio.subprocess.Process, package: str) -> None:
    """
    Wait until a service is SERVING. Raises `ServiceEndedError` if it ends before that, and
    `TimeoutError` after a minute.
    """
    async with asyncio.timeout(START_SECONDS), channel.connect(address) as connection:
        stub = health_pb2_grpc.HealthStub(connection)
        while True:
            if child.returncode is not None:
                raise ServiceEndedError(ended_text(package, child.returncode))
            try:
                answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=1)
            except grpc.aio.AioRpcError:
                answer = health_pb2.HealthCheckResponse()
            if answer.status == health_pb2.HealthCheckResponse.SERVING:
                return
            await asyncio.sleep(PROBE_SECONDS)


async def stop(child: asyncio.subprocess.Process) -> int:
    """
    Stop a service, by force after `STOP_SECONDS`; return its exit code.
    """
    if child.returncode is None:
        child.terminate()
    try:
        async with asyncio.timeout(STOP_SECONDS):
            return await child.wait()
    except TimeoutError:
        child.kill()
        return await child.wait()


def ended_text(package: str, code: int) -> str:
    """
    Say how a service ended that was not asked to.
    """
    if code < 0:
        return f"{package} was killed by {signal.Signals(-code).name}"
    return f"{package} ended by itself with exit code {code}; its last line above says why"


async def run(environment: Mapping[str, str]) -> int:
    """
    Run both services until a signal comes or one of them ends; return the exit code.
    """
    try:
        with only_pair(environment):
            return await _run(environment)
    except AlreadyRunningError as refused:
        print(f"not started: {refused}", file=sys.stderr)  # noqa: T201 - for the person at the terminal
        return 1


async def _run(environment: Mapping[str, str]) -> int:
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    children: dict[str, asyncio.subprocess.Process] = {}
    try:
        for package in SERVICES:
            children[package] = await start(package, environment)
        for package, child in children.items():
            await wait_serving(address_of(package, environment), child, package)
        for package in programs(environment)[len(SERVICES) :]:
            children[package] = await start(package, _with_addresses(environment))
        show_hints(environment)
        await _until_ended(children, stopping)
    except (ServiceEndedError, TimeoutError) as problem:
        text = str(problem) or f"the services were not ready within {START_SECONDS:.0f} s"
        print(f"stopped: {text}", file=sys.stderr)  # noqa: T201 - for the person at the terminal
        return 1
    finally:
        # The console, then dispatch: it finishes its deliveries while the feed is still served.
        for package in reversed(_LISTEN):
            if package in children:
                await stop(children[package])
    return 0


async def _until_ended(
    children: Mapping[str, asyncio.subprocess.Process], stopping: asyncio.Event
) -> None:
    """
    Wait for a signal. Raises `ServiceEndedError` if a service ends before it.
    """
    waits = {start_awaited(child.wait(), name): name for name, child in children.items()}
    signalled = start_awaited(stopping.wait(), "signal")
    done, rest = await asyncio.wait({*waits, signalled}, return_when=asyncio.FIRST_COMPLETED)
    for task in rest:
        task.cancel()
    ended = [waits[task] for task in done if task in waits]
    if ended and not stopping.is_set():
        code = children[ended[0]].returncode
        raise ServiceEndedError(ended_text(ended[0], code or 0))


def show_hints(environment: Mapping[str, str]) -> None:
    """
    Print the addresses and commands to try.
    """
    text = _HINTS.format(
        config=address_of("config_service", environment),
        dispatch=address_of("dispatch_service", environment),
        console=_console_line(environment),
        data=data_of(environment),
    )
    print(text, flush=True)  # noqa: T201 - for the person at the terminal


if __name__ == "__main__":
    sys.exit(asyncio.run(run({"SHIPEDGE_ENVIRONMENT": "development", **os.environ})))
