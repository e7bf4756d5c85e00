"""
One call: the work before and after its method.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from types import TracebackType
from typing import Any, Self

import grpc
from grpc_status import rpc_status

from service_runtime.rpc import request_values
from service_runtime.rpc.callers import Caller, current_caller
from service_runtime.rpc.errors import RpcError, StoreUnavailable, Unauthenticated, not_offered
from service_runtime.rpc.gate.call_lines import log_served
from service_runtime.rpc.gate.deadlines import DeadlinePassedError
from service_runtime.rpc.gate.limits import Kind
from service_runtime.rpc.gate.log_context import CallSubject, current_subject
from service_runtime.rpc.gate.messages import (
    MESSAGE_BYTES,
    MessageMalformed,
    MessageTooLarge,
    RefusedMessage,
    decoded,
    events_by_account,
)
from service_runtime.rpc.gate.method import Context, Gate, Method
from service_runtime.rpc.gate.open_streams import OpenStream
from service_runtime.rpc.gate.refusals import REASONS, peer_of
from service_runtime.rpc.gate.usage import CallerUsage, most_open
from service_runtime.rpc.status import public_error, to_status

RECEIVE_SECONDS, HANG_UP_SECONDS = 20.0, 0.01
"""
How long a call waits for its message at least, and after the end of what it was sent.
"""


class Call:
    """
    A call from its metadata to its end. Within the block its caller is known and counted;
    errors that leave the block become the status of the call.
    """

    __slots__ = (
        "_about",
        "_caller",
        "_context",
        "_gate",
        "_held",
        "_method",
        "_owners",
        "_started",
        "_stream",
        "_usage",
    )

    def __init__(self, gate: Gate, method: Method, context: Context) -> None:
        self._gate = gate
        self._method = method
        self._about = CallSubject(method.path)
        self._context = context
        self._started = time.monotonic()
        self._caller: Caller | None = None
        self._usage: CallerUsage | None = None
        self._owners: Sequence[str] = ()
        self._held: deque[int] = deque()
        self._stream: OpenStream | None = None

    async def __aenter__(self) -> Self:
        current_subject.set(self._about)
        try:
            self._gate.calls.check()
            self._caller = caller = self._identified()
            current_caller.set(caller)
            self._about.caller = caller.name
            kind, path = self._method.kind, self._method.path
            self._usage = self._gate.usage.opened(caller.name, kind, most_open(caller, kind))
            if kind is not Kind.CALL:
                answers = kind is Kind.PUBLISH_STREAM
                self._stream = OpenStream(path, caller, self._identify, answers=answers)
                self._gate.streams.add(self._stream)
            self._gate.calls.count += 1
        except Exception as error:  # noqa: BLE001 - every error becomes a status here
            await self._refuse(error)
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, RpcError):
            # Its frames hold the message, which may be large, and the answer may be late.
            error.__traceback__ = None
        del trace
        self._release()
        if error is None:
            self._log("OK")
        elif isinstance(error, asyncio.CancelledError):
            ended = None if self._stream is None else self._stream.ends()
            if ended is None:
                self._log("CANCELLED")
            else:
                await self._refuse(ended)
        elif isinstance(error, grpc.aio.AbortError):
            self._log("ABORTED_BY_HANDLER")
        elif isinstance(error, Exception):
            await self._refuse(error)

    @property
    def caller(self) -> Caller:
        """
        The caller, within the block.
        """
        return current_caller.get()

    async def request(self) -> Any:
        """
        Receive, decode and authorise the one message of a call.

        Raises `InvalidArgument`, `LimitReached`, `PermissionDenied`.
        """
        usage, counts = self._counted(), self._gate.usage
        await usage.receivers.begin()
        try:
            if (full := counts.full(usage)) is not None:
                raise full
            raw = await self._gate.receipt.bound(self._context.read())
        except DeadlinePassedError:
            raise MessageMalformed(self._method.path) from None
        finally:
            usage.receivers.end()
        if raw is grpc.aio.EOF:
            # Whoever hangs up sends no message either; then the task is cancelled here.
            await asyncio.sleep(HANG_UP_SECONDS)
            raise MessageMalformed(self._method.path)
        self._hold(len(raw))
        request = self._decoded(raw)
        owners = self._authorised(request)
        self._owners = counts.opened_on(owners, self._method.kind)
        if self._method.check is not None and counts.limits_events:
            refusal = counts.take_events(usage.name, events_by_account(request))
            if refusal is not None:
                raise refusal
        return request

    async def requests(self) -> AsyncIterator[Any]:
        """
        Receive, decode and authorise the messages of a stream. One that publishes goes on after
        a message that is refused, which comes as `RefusedMessage`.

        A message is in flight until it is answered, or for a method that does not publish,
        until the next one is asked for. A stream whose caller is at a limit is not read
        further until there is room: the transport then holds the sender.
        """
        while (raw := await self._next()) is not grpc.aio.EOF:
            if self._stream is not None:
                self._stream.check()
                current_caller.set(self._stream.caller)
            self._hold(len(raw))
            request = self._read(raw)
            del raw
            if self._method.check is not None and self._gate.usage.limits_events:
                await self._room_for_events(request)
            yield request
            del request
            if self._method.check is None:
                self.answered()
            await self._room()

    async def _next(self) -> Any:
        message = self._context.read()
        return await (message if self._stream is None else self._stream.receive(message))

    def answered(self) -> None:
        """
        Release the oldest message that is in flight.
        """
        if self._held and self._usage is not None:
            self._gate.usage.release(self._usage, self._held.popleft())

    def _identified(self) -> Caller:
        caller = self._identify()
        if caller is None:
            raise Unauthenticated("No caller matches the certificate or the token.")
        return caller

    def _identify(self) -> Caller | None:
        given = self._context.invocation_metadata() or ()
        metadata = {str(key): value for key, value in given}
        self._about.read(metadata)
        if len(metadata) != len(given) and [key for key, _ in given].count("authorization") > 1:
            raise Unauthenticated("authorization must be given once.")
        return self._gate.identify(metadata, self._context.auth_context())

    def _counted(self) -> CallerUsage:
        if self._usage is None:
            raise RuntimeError("outside of the block")
        return self._usage

    def _hold(self, size: int) -> None:
        self._held.append(size)
        self._gate.usage.hold(self._counted(), size)

    def _read(self, raw: bytes) -> Any:
        try:
            self._authorised(request := self._decoded(raw))
        except RpcError as refused:
            if self._method.check is None:
                raise
            request = RefusedMessage(refused)
        return request

    def _decoded(self, raw: bytes) -> Any:
        method = self._method
        if method.check is not None:
            method.check(raw)
        elif len(raw) > MESSAGE_BYTES:
            raise MessageTooLarge(method.path, len(raw))
        return decoded(method.read, raw, method.path)

    def _authorised(self, request: Any) -> Sequence[str]:
        """
        Return the owners that a request names. Values that no field may have are refused to
        those who may send the request; events have checks of their own.
        """
        if not self._method.authorised:
            return ()
        owners = self._gate.authorise(self.caller, self._method.path, request)
        if self._method.check is None:
            request_values.check(request)
        return owners

    async def _room(self) -> None:
        while self._held and self._gate.usage.full(self._counted()) is not None:
            await self._gate.usage.next_release()

    async def _room_for_events(self, request: Any) -> None:
        if isinstance(request, RefusedMessage):
            return
        events = events_by_account(request)
        while (refusal := self._gate.usage.take_events(self._counted().name, events)) is not None:
            pause = refusal.retry_after
            await asyncio.sleep(1.0 if pause is None else pause.total_seconds())

    def _release(self) -> None:
        """
        Count the end of the call.
        """
        gate, kind, usage = self._gate, self._method.kind, self._usage
        gate.calls.count -= 1
        if self._stream is not None:
            gate.streams.remove(self._stream)
        gate.usage.closed_on(self._owners, kind)
        if usage is not None:
            gate.usage.release(usage, sum(self._held))
            self._held.clear()
            self._usage = None
            gate.usage.closed(usage, kind)

    async def _refuse(self, error: Exception) -> None:
        public = self._public(error)
        if public.reason in REASONS:
            await self._count_refusal(public)
        else:
            self._log(public.code, public)
        status = to_status(public, self._about.request_id)
        await self._context.abort_with_status(rpc_status.to_status(status))

    async def _count_refusal(self, error: RpcError) -> None:
        gate, path = self._gate, self._method.path
        name = "" if self._caller is None else self._caller.name
        peer = name or peer_of(self._context.peer(), self._context.auth_context())
        gate.measure(path, error.code, time.monotonic() - self._started)
        gate.count_refusal(error.reason)
        gate.refusals.refused(peer, error, path, name)
        await gate.refusals.pause(peer)

    def _public(self, error: Exception) -> RpcError:
        path = self._method.path
        if isinstance(error, RpcError):
            return error
        if self._gate.store_is_away(error):
            return StoreUnavailable()
        if isinstance(error, NotImplementedError):
            return not_offered(path.rpartition("/")[2])
        return public_error(error)

    def _log(self, code: str, error: RpcError | None = None) -> None:
        seconds = time.monotonic() - self._started
        self._gate.measure(self._method.path, code, seconds)
        log_served(self._method, code, error, seconds)
