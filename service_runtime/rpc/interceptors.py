"""
The interceptor around every call: it identifies the caller, checks access, sets a deadline,
turns errors into statuses and logs one line.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from types import TracebackType
from typing import Any, TypeVar

import grpc
import structlog
from grpc_status import rpc_status

from service_runtime.rpc import access
from service_runtime.rpc.callers import Caller, Identify, current_caller
from service_runtime.rpc.errors import RpcError, StoreUnavailable, Unauthenticated, not_offered
from service_runtime.rpc.shielded import shielded
from service_runtime.rpc.status import public_error, to_status

DEFAULT_DEADLINE_SECONDS = 30.0
"""
The deadline of unary calls that come without one.
"""

_QUIET = ("/grpc.health.v1.Health/", "/grpc.reflection.")

_BUSY = ("/shipedge.webhooks.dispatch.v1.PublisherService/",)
"""
Methods that are called for every event. Their successes are logged at debug level only.
They wait for the group commit and hold no database connection, so they need no shield.
"""

log = structlog.get_logger()

T = TypeVar("T")


class CallTimedOut(RpcError):
    """
    A call without a deadline took longer than the default deadline.
    """

    code = "DEADLINE_EXCEEDED"
    reason = "CALL_TIMED_OUT"


Context = grpc.aio.ServicerContext[Any, Any]

Authorise = Callable[[Caller, str, Any], None]
"""
Raises `PermissionDenied` if a caller may not send a request to a method.
"""


Measure = Callable[[str, str, float], None]
"""
Receives the method, the code and the seconds of each call.
"""


def _measure_nothing(_method: str, _code: str, _seconds: float) -> None:
    pass


StoreIsAway = Callable[[Exception], bool]
"""
Tells whether an error means that the database does not answer.
"""


def _never_away(_error: Exception) -> bool:
    return False


class CallInterceptor(grpc.aio.ServerInterceptor):
    """
    The outermost interceptor, for unary and streaming calls.

    *identify* returns the caller; health checks and reflection need none. *authorise* raises if a
    caller may not make a call. *measure* receives method, code and seconds of each call. Errors
    for which *store_is_away* is true become `UNAVAILABLE`.
    """

    def __init__(
        self,
        identify: Identify,
        *,
        authorise: Authorise = access.authorise,
        measure: Measure = _measure_nothing,
        store_is_away: StoreIsAway = _never_away,
        deadline_seconds: float = DEFAULT_DEADLINE_SECONDS,
    ) -> None:
        self._measure = measure
        self._store_is_away = store_is_away
        self._identify = identify
        self._authorise = authorise
        self._deadline_seconds = deadline_seconds
        self._wrapped: dict[str, grpc.RpcMethodHandler[Any, Any]] = {}

    async def intercept_service(
        self,
        continuation: Callable[
            [grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]
        ],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """
        Return the wrapped handler of a method, of the same kind.
        """
        method = handler_call_details.method
        known = self._wrapped.get(method)
        if known is not None:
            return known
        handler = await continuation(handler_call_details)
        if handler is None or method.startswith(_QUIET):
            return handler
        wrap = self._streaming if handler.response_streaming else self._unary
        self._wrapped[method] = wrapped = wrap(handler, method)
        return wrapped

    def _unary(
        self, handler: grpc.RpcMethodHandler[Any, Any], method: str
    ) -> grpc.RpcMethodHandler[Any, Any]:
        behaviour: Any = handler.stream_unary or handler.unary_unary
        build = (
            grpc.stream_unary_rpc_method_handler
            if handler.request_streaming
            else grpc.unary_unary_rpc_method_handler
        )

        whole = _unshielded if method.startswith(_BUSY) else shielded

        async def serve(request: Any, context: Context) -> Any:
            async with self._call(method, context):
                if not handler.request_streaming:
                    self._authorise(current_caller.get(), method, request)
                if context.time_remaining() is not None:
                    return await whole(behaviour(request, context))
                return await _bounded(whole(behaviour(request, context)), self._deadline_seconds)

        return build(serve, handler.request_deserializer, handler.response_serializer)

    def _streaming(
        self, handler: grpc.RpcMethodHandler[Any, Any], method: str
    ) -> grpc.RpcMethodHandler[Any, Any]:
        behaviour: Any = handler.stream_stream or handler.unary_stream
        build = (
            grpc.stream_stream_rpc_method_handler
            if handler.request_streaming
            else grpc.unary_stream_rpc_method_handler
        )

        async def serve(request: Any, context: Context) -> AsyncIterator[Any]:
            async with self._call(method, context):
                if handler.request_streaming:
                    request = self._each_authorised(method, request)
                else:
                    self._authorise(current_caller.get(), method, request)
                async for answer in behaviour(request, context):
                    yield answer

        return build(serve, handler.request_deserializer, handler.response_serializer)

    def _call(self, method: str, context: Context) -> _Call:
        return _Call(self._identify, self._measure, self._store_is_away, method, context)

    async def _each_authorised(
        self, method: str, requests: AsyncIterator[Any]
    ) -> AsyncIterator[Any]:
        caller = current_caller.get()
        async for request in requests:
            self._authorise(caller, method, request)
            yield request


class _Call:
    """
    The work before and after a call.
    """

    __slots__ = (
        "_caller",
        "_context",
        "_identify",
        "_measure",
        "_method",
        "_started",
        "_store_is_away",
    )

    def __init__(
        self,
        identify: Identify,
        measure: Measure,
        store_is_away: StoreIsAway,
        method: str,
        context: Context,
    ) -> None:
        self._identify = identify
        self._measure = measure
        self._store_is_away = store_is_away
        self._method = method
        self._context = context
        self._started = time.monotonic()
        self._caller: Caller | None = None

    async def __aenter__(self) -> None:
        context = self._context
        try:
            metadata = {str(key): value for key, value in context.invocation_metadata() or ()}
            self._caller = self._identify(metadata, context.auth_context())
            current_caller.set(_known(self._caller))
        except Exception as error:  # noqa: BLE001 - every error becomes a status here
            await self._refuse(error)

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        if error is None:
            self._log("OK")
        elif isinstance(error, asyncio.CancelledError):
            self._log("CANCELLED")
        elif isinstance(error, grpc.aio.AbortError):
            self._log("ABORTED_BY_HANDLER")
        elif isinstance(error, Exception):
            await self._refuse(error)

    async def _refuse(self, error: Exception) -> None:
        public = self._public(error)
        self._log(public.code, public.reason)
        await self._context.abort_with_status(rpc_status.to_status(to_status(public)))

    def _public(self, error: Exception) -> RpcError:
        if self._store_is_away(error):
            kind = type(error).__name__
            log.error("rpc.store_unavailable", method=self._method, error_type=kind)
            return StoreUnavailable()
        return _as_rpc_error(error, self._method)

    def _log(self, code: str, reason: str = "") -> None:
        seconds = time.monotonic() - self._started
        self._measure(self._method, code, seconds)
        write = log.debug if code == "OK" and self._method.startswith(_BUSY) else log.info
        write(
            "rpc.served",
            method=self._method,
            code=code,
            reason=reason,
            caller=self._caller.name if self._caller else "",
            duration_ms=round(seconds * 1000, 2),
        )


async def _unshielded(work: Coroutine[Any, Any, T]) -> T:
    return await work


def _known(caller: Caller | None) -> Caller:
    if caller is None:
        raise Unauthenticated("No caller could be told from the certificate or the token.")
    return caller


async def _bounded(work: Coroutine[Any, Any, T], seconds: float) -> T:
    """
    Wait for *work*, at most *seconds*. Raises `CallTimedOut`.

    A `TimeoutError` that *work* raises itself is passed on.
    """
    try:
        async with asyncio.timeout(seconds) as limit:
            return await work
    except TimeoutError as error:
        if not limit.expired():
            raise
        text = f"The call took longer than {seconds:.0f} seconds."
        raise CallTimedOut(text, seconds=f"{seconds:.0f}") from error


def _as_rpc_error(error: Exception, method: str) -> RpcError:
    if isinstance(error, NotImplementedError):
        return not_offered(method.rpartition("/")[2])
    return public_error(error)
