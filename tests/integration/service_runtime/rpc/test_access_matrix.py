"""
Every method of every service over the wire, for every kind of caller: the real
interceptor and the real rules before methods that answer nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor

from service_runtime.rpc import server
from service_runtime.rpc.access import RULES, owners_of
from service_runtime.rpc.callers import ROLES, Caller
from service_runtime.rpc.interceptors import CallInterceptor
from shipedge.webhooks.client import channel
from tests.support.databases import free_port
from tests.unit.service_runtime.rpc.test_access import EVERYTHING, METHODS, OWNER, request_on

pytestmark = pytest.mark.anyio

HANDLERS = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}


def handler(method: MethodDescriptor, reached: list[str]) -> grpc.RpcMethodHandler[Any, Any]:
    """
    Make a method of the same kind that notes that it was reached.
    """
    answer = message_factory.GetMessageClass(method.output_type)()

    async def unary(_request: Any, _context: Any) -> Any:
        reached.append(method.name)
        return answer

    async def stream(_request: Any, _context: Any) -> AsyncIterator[Any]:
        reached.append(method.name)
        yield answer

    async def both(requests: AsyncIterator[Any], _context: Any) -> AsyncIterator[Any]:
        async for _ in requests:
            reached.append(method.name)
            yield answer

    kind = (method.client_streaming, method.server_streaming)
    behaviour: Any = {(False, False): unary, (False, True): stream, (True, True): both}[kind]
    read = message_factory.GetMessageClass(method.input_type).FromString
    return HANDLERS[kind](behaviour, read, lambda message: message.SerializeToString())


async def outcome(connection: grpc.aio.Channel, path: str, request: Any) -> grpc.StatusCode:
    """
    Call a method as its kind wants it; return the code that it ends with.
    """
    method = METHODS[path]
    write = type(request).SerializeToString
    read = message_factory.GetMessageClass(method.output_type).FromString
    call: Any
    if not method.server_streaming:
        call = connection.unary_unary(path, write, read)(request)
        return await call.code()  # type: ignore[no-any-return]
    if method.client_streaming:
        call = connection.stream_stream(path, write, read)()
        # A refusal may come before the request is sent; then it is what the writing raises.
        with contextlib.suppress(grpc.aio.AioRpcError):
            await call.write(request)
            await call.done_writing()
    else:
        call = connection.unary_stream(path, write, read)(request)
    with contextlib.suppress(grpc.aio.AioRpcError):
        async for _ in call:
            pass
    return await call.code()  # type: ignore[no-any-return]


async def test_matrix() -> None:
    """
    Nobody, the wrong role and another account are turned away; the right caller gets through.
    """
    acting: list[Caller | None] = [None]
    reached: list[str] = []
    address = f"127.0.0.1:{free_port()}"
    interceptor = CallInterceptor(lambda *_: acting[0])
    grpc_server, _ = server.build(address, interceptors=[interceptor], credentials=None)
    services: dict[str, dict[str, Any]] = {}
    for path, method in METHODS.items():
        _, service, name = path.split("/")
        services.setdefault(service, {})[name] = handler(method, reached)
    grpc_server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler(*it) for it in services.items()]
    )
    await grpc_server.start()
    async with channel.connect(address) as connection:
        for path, rule in RULES.items():
            request = request_on(path, OWNER)
            wrong = frozenset(ROLES - rule.roles)
            elsewhere = frozenset({"accounts/200"})
            turned_away: list[tuple[Caller | None, grpc.StatusCode]] = [
                (None, grpc.StatusCode.UNAUTHENTICATED)
            ]
            denied = grpc.StatusCode.PERMISSION_DENIED
            turned_away.append((Caller("callers/x", wrong, EVERYTHING), denied))
            if rule.everything or list(owners_of(request)):
                turned_away.append((Caller("callers/x", rule.roles, elsewhere), denied))
            for acting[0], code in turned_away:
                assert await outcome(connection, path, request) is code, (path, acting[0])
            assert reached == []
            acting[0] = Caller("callers/x", rule.roles, EVERYTHING)
            assert await outcome(connection, path, request) is grpc.StatusCode.OK, path
            assert reached == [METHODS[path].name]
            reached.clear()
    await server.stop(grpc_server, 0)
