"""
What happens around every call: the caller is named, a deadline set, errors
become statuses, one line is logged.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import structlog
from grpc_status import rpc_status

from shipedge.webhooks.rpc import access
from shipedge.webhooks.rpc.callers import Caller, Identify, current_caller
from shipedge.webhooks.rpc.errors import RpcError, Unauthenticated, not_offered
from shipedge.webhooks.rpc.status import public_error, to_status
from shipedge.webhooks.rpc.uncut import uncut

DEFAULT_DEADLINE_SECONDS = 30.0
"""
For unary calls that come without a deadline.
"""

_QUIET = ("/grpc.health.v1.Health/", "/grpc.reflection.")

log = structlog.get_logger()


class CallTimedOut(RpcError):
    """
    A call without a deadline of its own took too long.
    """

    code = "DEADLINE_EXCEEDED"
    reason = "CALL_TIMED_OUT"


Context = grpc.aio.ServicerContext[Any, Any]

Authorise = Callable[[Caller, str, Any], None]
"""
Raises where a caller may not send a request to a method.
"""


Measure = Callable[[str, str, float], None]
"""
Is told of the method, the code and the seconds of a call.
"""


def _measure_nothing(_method: str, _code: str, _seconds: float) -> None:
    pass


class CallInterceptor(grpc.aio.ServerInterceptor):
    """
    The outermost interceptor, for calls of all four kinds.

    *identify* names the caller, or nobody: health checks and reflection are for all.
    *authorise* raises where a caller may not make a call; *measure* is told of
    method, code and seconds of each.
    """

    def __init__(
        self,
        identify: Identify,
        *,
        authorise: Authorise = access.authorise,
        measure: Measure = _measure_nothing,
        deadline_seconds: float = DEFAULT_DEADLINE_SECONDS,
    ) -> None:
        self._measure = measure
        self._identify = identify
        self._authorise = authorise
        self._deadline_seconds = deadline_seconds

    async def intercept_service(
        self,
        continuation: Callable[
            [grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]
        ],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """
        Wrap the handler of a method in one of the same kind.
        """
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or method.startswith(_QUIET):
            return handler
        metadata = {str(key): value for key, value in handler_call_details.invocation_metadata}
        if handler.response_streaming:
            return self._streaming(handler, method, metadata)
        return self._unary(handler, method, metadata)

    def _unary(
        self, handler: grpc.RpcMethodHandler[Any, Any], method: str, metadata: dict[str, Any]
    ) -> grpc.RpcMethodHandler[Any, Any]:
        behaviour: Any = handler.stream_unary or handler.unary_unary
        build = (
            grpc.stream_unary_rpc_method_handler
            if handler.request_streaming
            else grpc.unary_unary_rpc_method_handler
        )

        async def serve(request: Any, context: Context) -> Any:
            async with self._around(method, metadata, context):
                if not handler.request_streaming:
                    self._authorise(current_caller.get(), method, request)
                if context.time_remaining() is not None:
                    return await uncut(behaviour(request, context))
                async with asyncio.timeout(self._deadline_seconds):
                    return await uncut(behaviour(request, context))

        return build(serve, handler.request_deserializer, handler.response_serializer)

    def _streaming(
        self, handler: grpc.RpcMethodHandler[Any, Any], method: str, metadata: dict[str, Any]
    ) -> grpc.RpcMethodHandler[Any, Any]:
        behaviour: Any = handler.stream_stream or handler.unary_stream
        build = (
            grpc.stream_stream_rpc_method_handler
            if handler.request_streaming
            else grpc.unary_stream_rpc_method_handler
        )

        async def serve(request: Any, context: Context) -> AsyncIterator[Any]:
            async with self._around(method, metadata, context):
                if handler.request_streaming:
                    request = self._each_authorised(method, request)
                else:
                    self._authorise(current_caller.get(), method, request)
                async for answer in behaviour(request, context):
                    yield answer

        return build(serve, handler.request_deserializer, handler.response_serializer)

    async def _each_authorised(
        self, method: str, requests: AsyncIterator[Any]
    ) -> AsyncIterator[Any]:
        caller = current_caller.get()
        async for request in requests:
            self._authorise(caller, method, request)
            yield request

    @asynccontextmanager
    async def _around(
        self, method: str, metadata: dict[str, Any], context: Context
    ) -> AsyncIterator[None]:
        begun = time.monotonic()
        caller = self._identify(metadata, context.auth_context())
        code, reason = "OK", ""
        try:
            current_caller.set(_known(caller))
            yield
        except asyncio.CancelledError:
            code = "CANCELLED"
            raise
        except grpc.aio.AbortError:
            code = "ABORTED_BY_HANDLER"
            raise
        except Exception as error:  # noqa: BLE001 - every error becomes a status here
            public = _as_rpc_error(error, method)
            code, reason = public.code, public.reason
            await context.abort_with_status(rpc_status.to_status(to_status(public)))
        finally:
            self._measure(method, code, time.monotonic() - begun)
            log.info(
                "rpc.served",
                method=method,
                code=code,
                reason=reason,
                caller=caller.name if caller else "",
                duration_ms=round((time.monotonic() - begun) * 1000, 2),
            )


def _known(caller: Caller | None) -> Caller:
    if caller is None:
        raise Unauthenticated("No caller could be told from the certificate or the token.")
    return caller


def _as_rpc_error(error: Exception, method: str) -> RpcError:
    if isinstance(error, NotImplementedError):
        return not_offered(method.rpartition("/")[2])
    if isinstance(error, TimeoutError):
        return CallTimedOut(
            f"The call took longer than {DEFAULT_DEADLINE_SECONDS:.0f} seconds.",
            seconds=f"{DEFAULT_DEADLINE_SECONDS:.0f}",
        )
    return public_error(error)
