"""
The interceptor around every call: nothing of a call is received before its caller is known
and has room; then it checks access, sets a deadline, turns errors into statuses and logs one
line.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import aclosing
from typing import Any, TypeAlias, TypeVar

import grpc
from grpc_status import rpc_status

from service_runtime.rpc import access
from service_runtime.rpc.callers import Identify
from service_runtime.rpc.errors import RpcError, not_offered
from service_runtime.rpc.gate.call import RECEIVE_SECONDS, Call
from service_runtime.rpc.gate.deadlines import Deadline, DeadlinePassedError
from service_runtime.rpc.gate.health_checks import serve_checks
from service_runtime.rpc.gate.limits import Kind, Limits
from service_runtime.rpc.gate.method import (
    Authorise,
    CheckBytes,
    Context,
    CountRefusal,
    Gate,
    Measure,
    Method,
    OpenCalls,
    StoreIsAway,
)
from service_runtime.rpc.gate.open_streams import STREAM_SECONDS, OpenStreams
from service_runtime.rpc.gate.refusals import Refusals
from service_runtime.rpc.gate.usage import Usage
from service_runtime.rpc.shielded import finished, shielded
from service_runtime.rpc.status import to_status

DEFAULT_DEADLINE_SECONDS = 30.0
"""
The deadline of unary calls that come without one; they are ended within a second after it.
"""

_HEALTH = "/grpc.health.v1.Health/"
_OPEN_TO_ALL_CALLERS = (_HEALTH, "/grpc.reflection.")

T = TypeVar("T")
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"


class CallTimedOut(RpcError):
    """
    A call without a deadline took longer than the default deadline.
    """

    code = "DEADLINE_EXCEEDED"
    reason = "CALL_TIMED_OUT"


def _measure_nothing(_method: str, _code: str, _seconds: float) -> None:
    pass


def _count_nothing(_reason: str) -> None:
    pass


def _never_away(_error: Exception) -> bool:
    return False


LAST_WRITE_SECONDS = 1.0
"""
How long a stream that is ended waits for the answer that is being written: no status can be sent
before, and its caller would wait for ever. One who reads nothing holds it up.
"""


class CallInterceptor(grpc.aio.ServerInterceptor):
    """
    The outermost interceptor, for unary and streaming calls.

    *identify* returns the caller; only health checks need none. *authorise* raises if a caller
    may not make a call. *publishing* has the methods that publish, with the check of their
    messages' bytes. *measure* receives method, code and seconds of each call, *count_refusal*
    the reasons of refused ones. Errors for which *store_is_away* is true become `UNAVAILABLE`.
    """

    def __init__(
        self,
        identify: Identify,
        *,
        authorise: Authorise = access.authorise,
        limits: Limits | None = None,
        publishing: Mapping[str, CheckBytes] | None = None,
        measure: Measure = _measure_nothing,
        count_refusal: CountRefusal = _count_nothing,
        store_is_away: StoreIsAway = _never_away,
        deadline_seconds: float = DEFAULT_DEADLINE_SECONDS,
        stream_seconds: float = STREAM_SECONDS,
    ) -> None:
        self.streams = OpenStreams(stream_seconds)
        self.calls = OpenCalls()
        self.usage = Usage(limits or Limits())
        self._gate = Gate(
            identify,
            authorise,
            measure,
            count_refusal,
            store_is_away,
            self.usage,
            Refusals(),
            self.streams,
            Deadline(RECEIVE_SECONDS),
            self.calls,
        )
        self._publishing = publishing or {}
        self._deadline_seconds = deadline_seconds
        self._deadline = Deadline(deadline_seconds)
        self._wrapped: dict[str, Handler] = {}

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """
        Return the wrapped handler of a method.
        """
        path = handler_call_details.method
        known = self._wrapped.get(path)
        if known is not None:
            return known
        handler = await continuation(handler_call_details)
        if handler is None:
            return _not_offered(path)
        self._wrapped[path] = wrapped = self._wrap(handler, path)
        return wrapped

    def _wrap(self, handler: Handler, path: str) -> Handler:
        method = self._method(handler, path)
        if handler.response_streaming:
            return self._streaming(handler, method)
        if path == f"{_HEALTH}Check":
            return serve_checks(handler, method, self._gate)
        return self._unary(handler, method)

    def _method(self, handler: Handler, path: str) -> Method:
        check = self._publishing.get(path)
        kind = Kind.CALL
        if handler.response_streaming:
            kind = Kind.WATCH if check is None else Kind.PUBLISH_STREAM
        return Method(
            path,
            kind,
            handler.request_deserializer,
            quiet=check is not None,
            check=check,
            authorised=not path.startswith(_OPEN_TO_ALL_CALLERS),
        )

    def _unary(self, handler: Handler, method: Method) -> Handler:
        """
        Serve a unary method as one that receives its message itself, as bytes: on the wire
        both are the same.
        """
        behaviour: Any = handler.stream_unary or handler.unary_unary
        # Methods that publish wait for the group commit and hold no database connection.
        whole = shielded if method.check is None else _unshielded

        async def serve(_messages: Any, context: Context) -> Any:
            async with Call(self._gate, method, context) as call:
                request = call.requests() if handler.request_streaming else await call.request()
                if context.time_remaining() is not None:
                    return await whole(behaviour(request, context))
                return await self._bounded(whole(behaviour(request, context)))

        return grpc.stream_unary_rpc_method_handler(serve, None, handler.response_serializer)

    async def _bounded(self, work: Coroutine[Any, Any, T]) -> T:
        """
        Wait for *work*. Raises `CallTimedOut`.
        """
        try:
            return await self._deadline.bound(work)
        except DeadlinePassedError as error:
            text = f"The call took longer than {self._deadline_seconds:.0f} seconds."
            raise CallTimedOut(text, seconds=f"{self._deadline_seconds:.0f}") from error

    def _streaming(self, handler: Handler, method: Method) -> Handler:
        """
        Serve a stream. It writes its answers itself, so that it can be ended at any moment.
        """
        behaviour: Any = handler.stream_stream or handler.unary_stream
        writes_itself = not inspect.isasyncgenfunction(behaviour)
        publishes = method.kind is Kind.PUBLISH_STREAM

        async def serve(_messages: Any, context: Context) -> None:
            async with Call(self._gate, method, context) as call:
                request = call.requests() if handler.request_streaming else await call.request()
                if writes_itself:
                    await behaviour(request, context)
                    return
                async with aclosing(behaviour(request, context)) as answers:
                    async for answer in answers:
                        await finished(context.write(answer), LAST_WRITE_SECONDS)
                        if publishes:
                            call.answered()

        return grpc.stream_stream_rpc_method_handler(serve, None, handler.response_serializer)


def _not_offered(path: str) -> Handler:
    """
    Return the handler of a method that does not exist: the library would refuse it without a
    reason. Its message is not received.
    """

    async def refuse(_messages: Any, context: Context) -> None:
        status = to_status(not_offered(path.rpartition("/")[2]))
        await context.abort_with_status(rpc_status.to_status(status))

    return grpc.stream_unary_rpc_method_handler(refuse, None, None)


async def _unshielded(work: Coroutine[Any, Any, T]) -> T:
    return await work
