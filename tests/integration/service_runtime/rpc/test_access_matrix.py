"""
Every method of every service over the wire, for every kind of caller: the real
interceptor and the real rules before methods that answer nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor

from service_runtime.rpc import server
from service_runtime.rpc.access import RULES, owners_of
from service_runtime.rpc.caller_directory import CallerDirectory, CallerEntry, Token
from service_runtime.rpc.callers import ROLES, Caller
from service_runtime.rpc.interceptors import CallInterceptor
from shipedge.webhooks.client import channel
from tests.contract.test_owners import CASES, MINE, fill
from tests.support.databases import free_port
from tests.unit.service_runtime.rpc.test_access import EVERYTHING, METHODS, OWNER, request_on

pytestmark = pytest.mark.anyio

TOKEN = "shwt_matrix"

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


async def outcome(
    connection: grpc.aio.Channel, path: str, request: Any, metadata: Sequence[tuple[str, str]]
) -> grpc.StatusCode:
    """
    Call a method as its kind wants it; return the code that it ends with.
    """
    method = METHODS[path]
    write = type(request).SerializeToString
    read = message_factory.GetMessageClass(method.output_type).FromString
    call: Any
    if not method.server_streaming:
        call = connection.unary_unary(path, write, read)(request, metadata=metadata)
        return await call.code()  # type: ignore[no-any-return]
    if method.client_streaming:
        call = connection.stream_stream(path, write, read)(metadata=metadata)
        # A refusal may come before the request is sent; then it is what the writing raises.
        with contextlib.suppress(grpc.aio.AioRpcError):
            await call.write(request)
            await call.done_writing()
    else:
        call = connection.unary_stream(path, write, read)(request, metadata=metadata)
    with contextlib.suppress(grpc.aio.AioRpcError):
        async for _ in call:
            pass
    return await call.code()  # type: ignore[no-any-return]


@dataclass
class Matrix:
    """
    All methods of the contract, the calls that reached them, and the one caller that is known:
    by its token alone where *by_token* is set.
    """

    connection: grpc.aio.Channel
    directory: CallerDirectory
    reached: list[str]
    by_token: bool
    acting: Caller | None = None

    def identify(self, metadata: Any, authentication: Any) -> Caller | None:
        """
        Identify as the listeners do.
        """
        if self.by_token:
            return self.directory.identify(metadata, authentication)
        return self.acting

    async def outcome(self, caller: Caller | None, path: str, request: Any) -> grpc.StatusCode:
        """
        Call a method as *caller*; return the code that it ends with.
        """
        self.acting = caller
        token = Token(hashlib.sha256(TOKEN.encode()).digest())
        known = [] if caller is None else [CallerEntry(caller, tokens=[token])]
        self.directory.replace(known)
        metadata = [("authorization", f"Bearer {TOKEN}")] if self.by_token else []
        return await outcome(self.connection, path, request, metadata)


@asynccontextmanager
async def serving(*, by_token: bool) -> AsyncIterator[Matrix]:
    """
    Serve every method of the contract behind the real interceptor.
    """
    address = f"127.0.0.1:{free_port()}"
    reached: list[str] = []
    async with channel.connect(address) as connection:
        matrix = Matrix(connection, CallerDirectory(), reached, by_token)
        interceptor = CallInterceptor(matrix.identify)
        grpc_server, _ = server.build(address, interceptors=[interceptor], credentials=None)
        services: dict[str, dict[str, Any]] = {}
        for path, method in METHODS.items():
            _, service, name = path.split("/")
            services.setdefault(service, {})[name] = handler(method, reached)
        grpc_server.add_generic_rpc_handlers(
            [grpc.method_handlers_generic_handler(*it) for it in services.items()]
        )
        await grpc_server.start()
        yield matrix
        await server.stop(grpc_server, 0)


@pytest.mark.heavy
@pytest.mark.parametrize("by_token", [False, True], ids=["certificate", "token"])
async def test_matrix(*, by_token: bool) -> None:
    """
    Nobody, the wrong role and another account are turned away; the right caller gets through.
    """
    async with serving(by_token=by_token) as matrix:
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
            for caller, code in turned_away:
                assert await matrix.outcome(caller, path, request) is code, (path, caller)
            assert matrix.reached == []
            right = Caller("callers/x", rule.roles, EVERYTHING)
            assert await matrix.outcome(right, path, request) is grpc.StatusCode.OK, path
            assert matrix.reached == [METHODS[path].name]
            matrix.reached.clear()


async def test_each_field_that_names_an_owner() -> None:
    """
    One field that names another's account or warehouse is enough, whatever its depth. Only the
    warehouses of events are judged behind the interceptor, event by event.
    """
    async with serving(by_token=True) as matrix:
        for case in CASES:
            values: Any = case.values
            path, fields = values
            if fields[0].name == "events" and fields[-1].name != "account_id":
                continue
            request = message_factory.GetMessageClass(METHODS[path].input_type)()
            fill(request, fields)
            code = await matrix.outcome(MINE, path, request)
            assert code is grpc.StatusCode.PERMISSION_DENIED, (path, request)
        assert matrix.reached == []
