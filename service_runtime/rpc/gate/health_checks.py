"""
`Health/Check`, which answers whatever else goes on.
"""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
from grpc_health.v1 import health_pb2
from grpc_status import rpc_status

from service_runtime.rpc.errors import RpcError
from service_runtime.rpc.gate.messages import decoded
from service_runtime.rpc.gate.method import Context, Gate, Method
from service_runtime.rpc.gate.turns import Turns
from service_runtime.rpc.status import to_status

RECEIVE_SECONDS = 1.0
MOST_RECEIVED = 32
MOST_OF_STRANGERS = 4
"""
At most so many checks receive their message at once, and for no longer; those who are not known
have a few of their own, because their messages may be large.
"""

_OVERALL = health_pb2.HealthCheckRequest()


def serve_checks(
    handler: grpc.RpcMethodHandler[Any, Any], method: Method, gate: Gate
) -> grpc.RpcMethodHandler[Any, Any]:
    """
    Serve the method without limits of callers, since a probe must never be refused.

    Those who come while too many others send their messages are told of the server as a whole:
    their messages are not received.
    """
    behaviour: Any = handler.unary_unary
    of_callers, of_strangers = Turns(MOST_RECEIVED), Turns(MOST_OF_STRANGERS)

    async def serve(_messages: Any, context: Context) -> Any:
        request = _OVERALL
        turns = of_callers if _known(gate, context) else of_strangers
        if not turns.full:
            await turns.begin()
            try:
                request = await _received(method, context)
            except RpcError as error:
                await context.abort_with_status(rpc_status.to_status(to_status(error)))
            finally:
                turns.end()
        return await behaviour(request, context)

    return grpc.stream_unary_rpc_method_handler(serve, None, handler.response_serializer)


def _known(gate: Gate, context: Context) -> bool:
    metadata = {str(key): value for key, value in context.invocation_metadata() or ()}
    return gate.identify(metadata, context.auth_context()) is not None


async def _received(method: Method, context: Context) -> Any:
    try:
        async with asyncio.timeout(RECEIVE_SECONDS):
            raw = await context.read()
    except TimeoutError:
        return _OVERALL
    return _OVERALL if raw is grpc.aio.EOF else decoded(method.read, raw, method.path)
