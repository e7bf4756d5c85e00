"""
Callers who have a token and no certificate, at both services in production mode: the dispatch
service with two workers, so with PostgreSQL.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask

from service_runtime.process import pair as processes
from service_runtime.rpc.status import ErrorDetail, read_error
from shipedge.webhooks.client import channel
from shipedge.webhooks.config.v1 import config_admin_service_pb2 as admin
from shipedge.webhooks.config.v1 import config_admin_service_pb2_grpc as admin_grpc
from shipedge.webhooks.config.v1 import config_service_pb2 as config
from shipedge.webhooks.config.v1 import config_service_pb2_grpc as config_grpc
from shipedge.webhooks.config.v1.caller_pb2 import Caller
from shipedge.webhooks.dispatch.v1 import delivery_service_pb2 as delivery
from shipedge.webhooks.dispatch.v1 import delivery_service_pb2_grpc as delivery_grpc
from tests.e2e.test_production import probed, production
from tests.support import preloaded
from tests.support.databases import free_port
from tests.support.pair import PATIENCE_SECONDS
from tests.support.receivers import Receiver

pytestmark = [pytest.mark.anyio, pytest.mark.heavy]

NAME = "callers/partner"
DENIED = ("PERMISSION_DENIED", "CALLER_FORBIDDEN")
UNKNOWN = ("UNAUTHENTICATED", "CALLER_UNKNOWN")


@dataclass(frozen=True)
class Listeners:
    """
    The listeners for tokens of both services, and the stub of an administrator.
    """

    config: grpc.aio.Channel
    dispatch: grpc.aio.Channel
    with_certificate: grpc.aio.Channel
    administrator: admin_grpc.ConfigAdminServiceAsyncStub

    async def list_types(self, token: str) -> None:
        """
        Call the config service.
        """
        await config_grpc.ConfigServiceStub(self.config).ListEventTypes(
            config.ListEventTypesRequest(), metadata=bearer(token)
        )

    async def list_attempts(self, token: str, account: int = 100) -> None:
        """
        Call the dispatch service.
        """
        await delivery_grpc.DeliveryServiceStub(self.dispatch).ListAttempts(
            delivery.ListAttemptsRequest(parent=f"accounts/{account}/deliveries/-"),
            metadata=bearer(token),
        )

    def watch_attempts(self, token: str) -> Any:
        """
        Open a stream at the dispatch service.
        """
        request = delivery.WatchAttemptsRequest(parent="accounts/100")
        stub = delivery_grpc.DeliveryServiceStub(self.dispatch)
        return stub.WatchAttempts(request, metadata=bearer(token))

    def forward_deliveries(self, token: str) -> Any:
        """
        Open a stream of payloads at the dispatch service.
        """
        request = delivery.ForwardDeliveriesRequest(parent="accounts/100")
        stub = delivery_grpc.DeliveryServiceStub(self.dispatch)
        return stub.ForwardDeliveries(request, metadata=bearer(token))


def bearer(token: str) -> list[tuple[str, str]]:
    """
    Return the metadata of a call with a token, none without.
    """
    return [("authorization", f"Bearer {token}")] if token else []


@asynccontextmanager
async def listening(directory: Path, receiver: Receiver, database: str) -> AsyncIterator[Listeners]:
    """
    Run both services with listeners for tokens.
    """
    tokens = {
        "SHIPEDGE_CONFIG_TOKEN_LISTEN": f"localhost:{free_port()}",
        "SHIPEDGE_DISPATCH_TOKEN_LISTEN": f"localhost:{free_port()}",
    }
    environment = production(directory, receiver) | tokens
    environment |= {
        "SHIPEDGE_DISPATCH_WORKERS": "2",
        "SHIPEDGE_DISPATCH_DATABASE_URL": database,
        "SHIPEDGE_DISPATCH_DATABASE_TLS": "off",
    }
    holder = directory / "secrets/operator"
    files = (holder / "certificate.pem", holder / "key.pem", holder / "ca.pem")
    certified = channel.channel_credentials(*files)
    anonymous = grpc.ssl_channel_credentials(files[2].read_bytes())
    children = []
    try:
        for package in ("config_service", "dispatch_service"):
            children.append(await preloaded.start(package, environment))
            await probed(package, environment)
        config_listen, dispatch_listen = tokens.values()
        async with (
            channel.connect(config_listen, anonymous) as to_config,
            channel.connect(dispatch_listen, anonymous) as to_dispatch,
            channel.connect(dispatch_listen, certified) as with_certificate,
            channel.connect(environment["SHIPEDGE_CONFIG_LISTEN"], certified) as administration,
        ):
            stub = admin_grpc.ConfigAdminServiceStub(administration)
            yield Listeners(to_config, to_dispatch, with_certificate, stub)
    finally:
        for child in reversed(children):
            assert await processes.stop(child) == 0


async def refusal(call: Any) -> tuple[str, str]:
    """
    Return code and reason of the error that a call ends with, OK if it succeeds.
    """
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return shown(read_error(error))
    return "OK", ""


def shown(detail: ErrorDetail) -> tuple[str, str]:
    """
    Return code and reason.
    """
    return detail.code, detail.reason


async def becomes(wanted: tuple[str, str], call: Any, *arguments: Any) -> None:
    """
    Repeat a call until it has an outcome.
    """
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await refusal(call(*arguments)) != wanted:
            await asyncio.sleep(0.05)


async def end_of(stream: Any) -> tuple[str, str]:
    """
    Wait for the end of a stream.
    """
    async with asyncio.timeout(PATIENCE_SECONDS):
        try:
            while await stream.read() is not grpc.aio.EOF:
                pass
        except grpc.aio.AioRpcError as error:
            return shown(read_error(error))
    return "OK", ""


async def test_token_alone_will_do(tmp_path: Path, receiver: Receiver, database: str) -> None:
    """
    A token lets in at both services, beside its successor too, within the caller's owners; a
    caller that may do less loses its open streams.
    """
    async with listening(tmp_path, receiver, database) as listeners:
        administrator = listeners.administrator
        partner = Caller(
            display_name="Partner",
            roles=[Caller.ROLE_READER],
            owners=["accounts/100", "accounts/300"],
        )
        made = await administrator.CreateCaller(
            admin.CreateCallerRequest(caller=partner, caller_id="partner")
        )
        await becomes(("OK", ""), listeners.list_types, made.token)
        await becomes(("OK", ""), listeners.list_attempts, made.token)
        assert await refusal(listeners.list_attempts(made.token, 200)) == DENIED
        for token in ("", "shwt_wrong"):
            assert await refusal(listeners.list_types(token)) == UNKNOWN
            assert await refusal(listeners.list_attempts(token)) == UNKNOWN
        # The server does not ask for the certificate of an administrator, so it sees none.
        request = delivery.ListAttemptsRequest(parent="accounts/100/deliveries/-")
        stub = delivery_grpc.DeliveryServiceStub(listeners.with_certificate)
        assert await refusal(stub.ListAttempts(request)) == UNKNOWN

        second = await administrator.RotateCallerToken(admin.RotateCallerTokenRequest(name=NAME))
        await becomes(("OK", ""), listeners.list_attempts, second.token)
        assert await refusal(listeners.list_attempts(made.token)) == ("OK", "")

        stream = listeners.watch_attempts(second.token)
        await stream.read()
        narrowed = Caller(name=NAME, owners=["accounts/300"])
        await administrator.UpdateCaller(
            admin.UpdateCallerRequest(caller=narrowed, update_mask=FieldMask(paths=["owners"]))
        )
        assert await end_of(stream) == DENIED
        await becomes(DENIED, listeners.list_attempts, second.token)
        await becomes(("OK", ""), listeners.list_attempts, second.token, 300)

        await administrator.RotateCallerToken(
            admin.RotateCallerTokenRequest(name=NAME, grace_period=Duration())
        )
        await becomes(UNKNOWN, listeners.list_attempts, second.token, 300)
        await becomes(UNKNOWN, listeners.list_attempts, made.token, 300)


async def test_payloads_are_streamed_to_operators_until_they_are_revoked(
    tmp_path: Path, receiver: Receiver, database: str
) -> None:
    """
    Over a connection with TLS that the developer's side opened; a reader sees no payloads.
    """
    async with listening(tmp_path, receiver, database) as listeners:
        administrator = listeners.administrator
        tokens = {}
        for name, role in (("reader", Caller.ROLE_READER), ("developer", Caller.ROLE_OPERATOR)):
            caller = Caller(display_name=name, roles=[role], owners=["accounts/100"])
            request = admin.CreateCallerRequest(caller=caller, caller_id=name)
            tokens[name] = (await administrator.CreateCaller(request)).token
            await becomes(("OK", ""), listeners.list_attempts, tokens[name])

        assert await end_of(listeners.forward_deliveries(tokens["reader"])) == DENIED
        stream = listeners.forward_deliveries(tokens["developer"])
        first = await stream.read()
        await administrator.DeleteCaller(admin.DeleteCallerRequest(name="callers/developer"))

        assert first.signing_secret.startswith("whsec_")
        assert await end_of(stream) == ("UNAUTHENTICATED", "CALLER_REVOKED")
