"""
The pair that is attacked, its callers, and what an innocent publisher sees meanwhile.
"""

from __future__ import annotations

import asyncio
import sys
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import grpc
from google.protobuf.timestamp_pb2 import Timestamp

from dispatch_service.payloads import example_event
from service_runtime.process import pair as processes
from service_runtime.process.bootstrap import Holder, bootstrap
from service_runtime.rpc.callers import ROLES
from shipedge.webhooks.client import channel
from shipedge.webhooks.config.v1 import admin_service_pb2, admin_service_pb2_grpc
from shipedge.webhooks.config.v1.caller_pb2 import Caller
from shipedge.webhooks.dispatch.v1 import publisher_service_pb2, publisher_service_pb2_grpc
from tests.support.databases import free_port
from tests.support.pair import CONFIG, DISPATCH, environment_of
from tests.support.receivers import Receiver, answering, https_receiver

INNOCENT, ATTACKER, NOBODY, OPERATOR = "innocent", "attacker", "nobody", "operator"
MIB = 1024 * 1024
INNOCENT_CALLS = 20
SERVE_SECONDS = 60.0


@dataclass
class Stage:
    """
    A running pair in production mode.
    """

    environment: dict[str, str]
    secrets: Path
    stack: AsyncExitStack
    children: dict[str, asyncio.subprocess.Process] = field(default_factory=dict)

    async def connect(self, who: str, package: str = DISPATCH) -> grpc.aio.Channel:
        """
        Open a connection of its own with the certificate of *who*.
        """
        files = [self.secrets / who / name for name in ("certificate.pem", "key.pem", "ca.pem")]
        credentials = channel.channel_credentials(*files)
        address = self.environment[f"SHIPEDGE_{package.split('_', maxsplit=1)[0].upper()}_LISTEN"]
        connection = channel.connect(address, credentials, own_connection=True)
        return await self.stack.enter_async_context(connection)

    async def admin(self) -> admin_service_pb2_grpc.AdminServiceAsyncStub:
        """
        Return a client that manages callers.
        """
        return admin_service_pb2_grpc.AdminServiceStub(await self.connect(OPERATOR, CONFIG))

    async def create(
        self, who: str, owner: str, *roles: Caller.Role.ValueType, seconds: float = 0
    ) -> None:
        """
        Create a caller known by its certificate, which expires after *seconds*, if given.
        """
        wanted = Caller(display_name=who, roles=roles, owners=[owner], certificate_identity=who)
        if seconds:
            wanted.expire_time.CopyFrom(Timestamp(seconds=int(time.time() + seconds)))
        request = admin_service_pb2.CreateCallerRequest(caller_id=who, caller=wanted)
        await (await self.admin()).CreateCaller(request)

    async def delete(self, who: str) -> None:
        """
        Delete a caller.
        """
        request = admin_service_pb2.DeleteCallerRequest(name=f"callers/{who}")
        await (await self.admin()).DeleteCaller(request)

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
        address = self.environment["SHIPEDGE_DISPATCH_LISTEN"]
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "tests.attacks.health_clock", address, str(self.secrets), INNOCENT),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert child.stdout is not None
        await child.stdout.readline()
        slowest: list[float] = []
        yield slowest
        output, _ = await child.communicate(b"")
        slowest.append(float(output or "inf"))

    async def innocent(self, calls: int = INNOCENT_CALLS) -> list[float]:
        """
        Publish as another caller; return the seconds of the calls that succeeded.
        """
        connection = await self.connect(INNOCENT)
        stub = publisher_service_pb2_grpc.PublisherServiceStub(connection)
        seconds = []
        for _ in range(calls):
            request = publish(200)
            started = time.monotonic()
            try:
                answer = await stub.PublishEvents(request, timeout=10)
            except grpc.aio.AioRpcError:
                continue
            if answer.results[0].HasField("accepted"):
                seconds.append(time.monotonic() - started)
        return seconds


def publish(account: int, *warehouses: str) -> publisher_service_pb2.PublishEventsRequest:
    """
    Make a request with one new event.
    """
    event = example_event("orders/shipped")
    event.event_id, event.account_id = uuid.uuid4().hex, account
    event.warehouses[:] = warehouses
    for shipment in event.order_status_changed.order.shipments:
        shipment.warehouse = ""
    return publisher_service_pb2.PublishEventsRequest(events=[event])


def _environment(directory: Path, receiver: Receiver) -> dict[str, str]:
    secrets = directory / "secrets"
    now = datetime.now(UTC)  # noqa: TID251 - certificates are valid from now on
    callers = {name: Holder((name,)) for name in (INNOCENT, ATTACKER, NOBODY, OPERATOR)}
    bootstrap(secrets, now, {"service": Holder(("localhost",), service=True), **callers})
    config, dispatch = free_port(), free_port()
    roles = "+".join(sorted(ROLES - {"feed"}))
    return environment_of(
        directory,
        receiver,
        SHIPEDGE_ENVIRONMENT="production",
        SHIPEDGE_CALLERS=f"localhost=feed,{OPERATOR}={roles}",
        SHIPEDGE_TLS_CERTIFICATE_FILE=str(secrets / "service/certificate.pem"),
        SHIPEDGE_TLS_KEY_FILE=str(secrets / "service/key.pem"),
        SHIPEDGE_TLS_CA_FILE=str(secrets / "service/ca.pem"),
        SHIPEDGE_CONFIG_LISTEN=f"localhost:{config}",
        SHIPEDGE_DISPATCH_LISTEN=f"localhost:{dispatch}",
        SHIPEDGE_DISPATCH_CONFIG_ADDRESS=f"localhost:{config}",
        SHIPEDGE_ALLOWED_TARGETS=f"127.0.0.1:{receiver.port}",
        SHIPEDGE_ENCRYPTION_KEYS_FILE=str(secrets / "service/encryption_keys"),
        SHIPEDGE_HASH_KEY_FILE=str(secrets / "service/hash_key"),
    )


@asynccontextmanager
async def running_stage(directory: Path) -> AsyncIterator[Stage]:
    """
    Run a pair with an innocent publisher of account 200 and an attacker of account 100.
    """
    async with (
        https_receiver(answering(200, b"OK"), host="127.0.0.1") as receiver,
        AsyncExitStack() as stack,
    ):
        stage = Stage(_environment(directory, receiver), directory / "secrets", stack)
        try:
            for package in (CONFIG, DISPATCH):
                stage.children[package] = await processes.start(package, stage.environment)
            await serves(stage.probe)
            publisher, reader = Caller.ROLE_PUBLISHER, Caller.ROLE_READER
            await stage.create(INNOCENT, "accounts/200", publisher)
            await stage.create(ATTACKER, "accounts/100", publisher, reader)
            await serves(lambda: _published(stage))
            yield stage
        finally:
            await stack.aclose()
            for child in reversed(stage.children.values()):
                await processes.stop(child)


async def _published(stage: Stage) -> bool:
    return bool(await stage.innocent(1))


async def serves(asked: Callable[[], Awaitable[bool]]) -> None:
    """
    Wait until *asked* says so. Raises `TimeoutError`.
    """
    async with asyncio.timeout(SERVE_SECONDS):
        while not await asked():
            await asyncio.sleep(0.1)
