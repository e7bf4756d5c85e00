"""
Listeners and channels take up new TLS files while they run.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from grpc_health.v1 import health_pb2, health_pb2_grpc

from service_runtime.rpc import server
from service_runtime.rpc.callers import DEVELOPMENT, Caller
from service_runtime.rpc.health import ServerHealth
from service_runtime.rpc.interceptors import CallInterceptor
from service_runtime.tls.channels import RenewableChannel
from service_runtime.tls.current import CurrentTls
from service_runtime.tls.material import TlsFiles
from shipedge.webhooks.client import channel
from shipedge.webhooks.config.v1 import config_service_pb2, config_service_pb2_grpc
from tests.support.authority import Authority
from tests.support.databases import free_port

pytestmark = pytest.mark.anyio

SERVES = health_pb2.HealthCheckResponse.SERVING


async def list_event_types(
    _request: config_service_pb2.ListEventTypesRequest, _context: object
) -> config_service_pb2.ListEventTypesResponse:
    """
    Answer nothing; it needs a caller.
    """
    return config_service_pb2.ListEventTypesResponse()


async def alive() -> None:
    """
    Find nothing wrong.
    """


class Seen:
    """
    Identifies everybody; remembers the certificates.
    """

    def __init__(self) -> None:
        self.serials: list[int] = []

    def identify(
        self, _metadata: Mapping[str, str | bytes], about: Mapping[str, Iterable[bytes]]
    ) -> Caller:
        """
        Identify a caller.
        """
        (pem,) = about["x509_pem_cert"]
        self.serials.append(x509.load_pem_x509_certificate(pem).serial_number)
        return DEVELOPMENT


@asynccontextmanager
async def listening(tls: CurrentTls, seen: Seen) -> AsyncIterator[str]:
    """
    Serve with the certificate of *tls*; yield the address.
    """
    listen = f"localhost:{free_port()}"
    interceptor = CallInterceptor(
        tls.unless_revoked(seen.identify),
        measure=lambda *_: None,
        store_is_away=lambda _: False,
    )
    grpc_server, _ = server.build(
        listen, interceptors=[interceptor], credentials=tls.server_credentials()
    )
    handler = grpc.unary_unary_rpc_method_handler(
        list_event_types,
        request_deserializer=config_service_pb2.ListEventTypesRequest.FromString,
        response_serializer=config_service_pb2.ListEventTypesResponse.SerializeToString,
    )
    name = "shipedge.webhooks.config.v1.ConfigService"
    generic = grpc.method_handlers_generic_handler(name, {"ListEventTypes": handler})
    grpc_server.add_generic_rpc_handlers((generic,))
    health = ServerHealth((), alive)
    health.add_to(grpc_server)
    await health.check_once()
    await grpc_server.start()
    try:
        yield listen
    finally:
        await server.stop(grpc_server, 0)


async def shown(address: str, files: TlsFiles) -> int:
    """
    Return the serial number of the certificate that a server shows in a new connection.
    """
    context = ssl.create_default_context(cafile=str(files.authority))
    context.load_cert_chain(files.certificate, files.key)
    context.set_alpn_protocols(["h2"])
    host, _, port = address.rpartition(":")
    async with asyncio.timeout(20):
        _, writer = await asyncio.open_connection(host, int(port), ssl=context)
        der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.close()
    return x509.load_der_x509_certificate(der).serial_number


async def call(connection: grpc.aio.Channel) -> None:
    """
    Call the method that needs a caller.
    """
    stub = config_service_pb2_grpc.ConfigServiceStub(connection)
    await stub.ListEventTypes(config_service_pb2.ListEventTypesRequest(), timeout=20)


async def test_listener_shows_the_new_certificate(tmp_path: Path) -> None:
    """
    A connection that begins after a change sees the new certificate; one that is open stays.
    """
    authority = Authority(tmp_path)
    first, second = authority.issue("localhost"), authority.issue("localhost")
    files = authority.files(first)
    client = authority.files(authority.issue("client"), "client")
    tls = CurrentTls(files, {"server", "client"})
    credentials = CurrentTls(client, {"client"}).channel_credentials()
    async with listening(tls, Seen()) as address, channel.connect(address, credentials) as old:
        await call(old)
        assert await shown(address, client) == first.certificate.serial_number

        authority.files(second)
        assert tls.refresh()
        for _ in range(2):
            assert await shown(address, client) == second.certificate.serial_number
        await call(old)


@pytest.mark.slow
async def test_listener_takes_up_another_authority(tmp_path: Path) -> None:
    """
    When the authority is replaced, certificates of the old one are not let in any more.
    """
    authority, other = Authority(tmp_path), Authority(tmp_path / "other")
    other.folder.mkdir()
    tls = CurrentTls(authority.files(authority.issue("localhost")), {"server"})
    client = authority.files(authority.issue("client"), "client")
    credentials = CurrentTls(client, {"client"}).channel_credentials()
    theirs = other.files(other.issue("client"), "client")
    async with listening(tls, Seen()) as address:
        async with channel.connect(address, credentials, own_connection=True) as before:
            await call(before)
        (tmp_path / "ca.pem").write_text(other.root.chain_pem)
        authority.root = other.root
        authority.files(other.issue("localhost"))
        assert tls.refresh()

        trusted = CurrentTls(theirs, {"client"}).channel_credentials()
        async with channel.connect(address, trusted, own_connection=True) as after:
            await call(after)
        async with channel.connect(address, credentials, own_connection=True) as stranger:
            with pytest.raises(grpc.aio.AioRpcError):
                await call(stranger)


async def test_channel_shows_the_new_certificate(tmp_path: Path) -> None:
    """
    A client that was made once calls with the certificate that is in force.
    """
    authority, seen = Authority(tmp_path), Seen()
    first, second = authority.issue("client"), authority.issue("client")
    serving = CurrentTls(authority.files(authority.issue("localhost")), {"server"})
    tls = CurrentTls(authority.files(first, "client"), {"client"})
    async with listening(serving, seen) as address:
        renewable = RenewableChannel(lambda: channel.connect(address, tls.channel_credentials()))
        async with renewable:
            stub = config_service_pb2_grpc.ConfigServiceStub(renewable)
            await stub.ListEventTypes(config_service_pb2.ListEventTypesRequest(), timeout=20)
            authority.files(second, "client")
            assert tls.refresh()
            await renewable.renew()
            await stub.ListEventTypes(config_service_pb2.ListEventTypesRequest(), timeout=20)

    assert seen.serials == [first.certificate.serial_number, second.certificate.serial_number]


async def test_revoked_caller_is_not_identified(tmp_path: Path) -> None:
    """
    A caller whose certificate is revoked is unknown from the next call on, also on a connection
    that is open; health, which nobody has to be identified for, answers still.
    """
    authority = Authority(tmp_path)
    caller, other = authority.issue("caller"), authority.issue("other")
    files = authority.files(authority.issue("localhost"), revoked=authority.revoking(other))
    tls = CurrentTls(files, {"server"})
    credentials = CurrentTls(authority.files(caller, "client"), {"client"}).channel_credentials()
    async with listening(tls, Seen()) as address, channel.connect(address, credentials) as open_:
        await call(open_)
        assert files.revoked is not None
        files.revoked.write_bytes(authority.revoking(other, caller))
        assert tls.refresh()

        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await call(open_)
        assert raised.value.code() is grpc.StatusCode.UNAUTHENTICATED
        answer = await health_pb2_grpc.HealthStub(open_).Check(health_pb2.HealthCheckRequest())
    assert answer.status == SERVES
