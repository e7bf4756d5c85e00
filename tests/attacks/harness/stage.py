"""
The pair that is attacked, its callers, and what others see meanwhile.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from grpc_health.v1 import health_pb2, health_pb2_grpc

from service_runtime.process import pair as processes
from shipedge.webhooks.client import channel
from shipedge.webhooks.config.v1 import config_admin_service_pb2, config_admin_service_pb2_grpc
from shipedge.webhooks.config.v1.caller_pb2 import Caller
from tests.attacks.harness.clock import published
from tests.attacks.harness.setups import ATTACKER, INNOCENT, OPERATOR, Setup, environment
from tests.support import preloaded
from tests.support.pair import CONFIG, DISPATCH
from tests.support.receivers import Receiver, https_receiver

SERVE_SECONDS = 60.0


@dataclass
class Stage:
    """
    A running pair in production mode, with its *receiver*.
    """

    directory: Path
    environment: dict[str, str]
    stack: AsyncExitStack
    receiver: Receiver
    children: dict[str, asyncio.subprocess.Process] = field(default_factory=dict)
    clock: asyncio.subprocess.Process | None = None

    def setting(self, package: str, name: str) -> str:
        """
        Return a setting that each service has.
        """
        return self.environment[f"SHIPEDGE_{package.partition('_')[0].upper()}_{name}"]

    def log(self, package: str) -> Path:
        """
        Return the file with the log of a service.
        """
        return self.directory / f"{package}.log"

    def files(self, who: str) -> list[Path]:
        """
        Return the files with the certificate of *who*, its key and the authority.
        """
        folder = self.directory / "secrets" / who
        return [folder / name for name in ("certificate.pem", "key.pem", "ca.pem")]

    async def connect(self, who: str, package: str = DISPATCH) -> grpc.aio.Channel:
        """
        Open a connection of its own with the certificate of *who*.
        """
        credentials = channel.channel_credentials(*self.files(who))
        return await self._connected(self.setting(package, "LISTEN"), credentials)

    async def connect_without(self, package: str = DISPATCH) -> grpc.aio.Channel:
        """
        Open a connection without a certificate to the listener for tokens.
        """
        authority = self.files(OPERATOR)[2].read_bytes()
        credentials = grpc.ssl_channel_credentials(authority)
        return await self._connected(self.setting(package, "TOKEN_LISTEN"), credentials)

    async def _connected(
        self, address: str, credentials: grpc.ChannelCredentials
    ) -> grpc.aio.Channel:
        connection = channel.connect(address, credentials, own_connection=True)
        return await self.stack.enter_async_context(connection)

    async def admin(self) -> config_admin_service_pb2_grpc.ConfigAdminServiceAsyncStub:
        """
        Return a client that manages callers.
        """
        return config_admin_service_pb2_grpc.ConfigAdminServiceStub(
            await self.connect(OPERATOR, CONFIG)
        )

    async def create(
        self, who: str, owner: str, *roles: Caller.Role.ValueType, seconds: float = 0
    ) -> None:
        """
        Create a caller known by its certificate, which expires after *seconds*, if given.
        """
        wanted = Caller(display_name=who, roles=roles, owners=[owner], certificate_identity=who)
        if seconds:
            wanted.expire_time.CopyFrom(Timestamp(seconds=int(time.time() + seconds)))
        request = config_admin_service_pb2.CreateCallerRequest(caller_id=who, caller=wanted)
        await (await self.admin()).CreateCaller(request)

    async def probe(self) -> bool:
        """
        Tell whether the command `probe` of the dispatch service succeeds.
        """
        child = await asyncio.create_subprocess_exec(
            *processes.command(DISPATCH), "probe", env=self.environment
        )
        return await child.wait() == 0

    def memory(self) -> float:
        """
        Return the memory of the dispatch service, in MiB.
        """
        text = Path(f"/proc/{self.children[DISPATCH].pid}/status").read_text()
        return int(text.partition("VmRSS:")[2].split()[0]) / 1024

    @asynccontextmanager
    async def health_watched(self) -> AsyncIterator[list[float]]:
        """
        Ask for health while the block runs; afterwards the list has the longest time in seconds.
        """
        slowest: list[float] = []
        await self._command("health")
        yield slowest
        slowest.append(float(await self._command("end", answered=True) or "inf"))

    async def innocent(self, calls: int) -> list[float]:
        """
        Publish as another caller; return the seconds of the calls that succeeded.
        """
        answer = await self._command(f"publish {calls}", answered=True)
        return list(json.loads(answer or "[]"))

    async def _command(self, line: str, *, answered: bool = False) -> bytes:
        """
        Give a command to the clock; return its answer, if it gives one.
        """
        if self.clock is None:
            self.clock = await self._start_clock()
        assert self.clock.stdin is not None
        assert self.clock.stdout is not None
        self.clock.stdin.write(line.encode() + b"\n")
        return await self.clock.stdout.readline() if answered else b""

    async def _start_clock(self) -> asyncio.subprocess.Process:
        clock = await asyncio.create_subprocess_exec(
            *(
                sys.executable,
                "-m",
                "tests.attacks.harness.clock",
                self.setting(DISPATCH, "LISTEN"),
            ),
            *(str(self.directory / "secrets"), INNOCENT),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        self.stack.push_async_callback(clock.communicate, b"")
        return clock


@asynccontextmanager
async def running_stage(directory: Path, setup: Setup) -> AsyncIterator[Stage]:
    """
    Run a pair with an innocent publisher of account 200 and an attacker of account 100.
    """
    with ExitStack() as blocking:
        async with (
            https_receiver(setup.script, host="127.0.0.1") as receiver,
            AsyncExitStack() as stack,
        ):
            made = await asyncio.to_thread(environment, setup, directory, receiver, blocking)
            stage = Stage(directory, made, stack, receiver)
            try:
                for package in (CONFIG, DISPATCH):
                    await _start(stage, setup, package)
                publisher, reader = Caller.ROLE_PUBLISHER, Caller.ROLE_READER
                await stage.create(INNOCENT, "accounts/200", publisher)
                await stage.create(ATTACKER, "accounts/100", publisher, reader)
                connection = await stage.connect(INNOCENT)
                await serves(lambda: _publishes(connection))
                yield stage
            finally:
                await stack.aclose()
                for child in reversed(stage.children.values()):
                    await processes.stop(child)
                await asyncio.to_thread(blocking.close)


async def _start(stage: Stage, setup: Setup, package: str) -> None:
    if setup.as_shipped:
        with stage.log(package).open("ab") as log:
            child = await asyncio.create_subprocess_exec(
                *processes.command(package),
                env=stage.environment,
                start_new_session=True,
                stdout=log,
                stderr=log,
            )
    else:
        child = await preloaded.start(package, stage.environment, stage.log(package))
    stage.children[package] = child
    stub = health_pb2_grpc.HealthStub(await stage.connect(OPERATOR, package))
    await serves(lambda: _healthy(stage, package, stub))


async def _healthy(stage: Stage, package: str, stub: health_pb2_grpc.HealthAsyncStub) -> bool:
    if stage.children[package].returncode is not None:
        raise processes.ServiceEndedError(stage.log(package).read_text()[-300:])
    try:
        answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=1)
    except grpc.aio.AioRpcError:
        return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


async def _publishes(connection: grpc.aio.Channel) -> bool:
    return bool(await published(connection, 1))


async def serves(asked: Callable[[], Awaitable[bool]]) -> None:
    """
    Wait until *asked* says so. Raises `TimeoutError`.
    """
    async with asyncio.timeout(SERVE_SECONDS):
        while not await asked():
            await asyncio.sleep(0.1)
