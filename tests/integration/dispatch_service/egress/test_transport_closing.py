"""
The end of connections: idle, old, cancelled, closed.
"""

import asyncio
import gc

import pytest

from dispatch_service.domain.outcomes import FailureKind, Response
from dispatch_service.egress.clocks import ExchangeClock
from dispatch_service.egress.connection import Connection
from dispatch_service.egress.connector import Connector
from dispatch_service.egress.opening import OnLost
from dispatch_service.egress.pool import ConnectionPool
from dispatch_service.egress.requests import OutboundRequest
from dispatch_service.egress.resolver import Resolver
from dispatch_service.egress.transport import GuardedTransport
from tests.support.receivers import Received, answering, http_receiver, https_receiver
from tests.support.transports import (
    LOOPBACK,
    LOOPS,
    contexts,
    failure,
    guarded_transport,
    outbound,
    until,
)

pytestmark = pytest.mark.anyio


@pytest.fixture(params=LOOPS, ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    """
    Run every test on both event loops.
    """
    return request.param


async def test_closed_idle_connections_are_forgotten() -> None:
    """
    Idle connections that the receiver closes are not left in the pool.
    """
    async with https_receiver(answering()) as receiver, guarded_transport(receiver) as transport:
        await transport.exchange(outbound(receiver))
        receiver.drop_connections()
        await until(lambda: transport.pool.open_count == 0)

        assert transport.pool.idle_count == 0
        assert (await transport.exchange(outbound(receiver))).status_code == 200


async def test_idle_connections_expire() -> None:
    """
    An idle connection is closed after its time, by one timer for all connections.
    """
    pool = ConnectionPool(idle_seconds=0.1)
    async with (
        https_receiver(answering()) as receiver,
        guarded_transport(receiver, pool=pool) as transport,
    ):
        await transport.exchange(outbound(receiver))
        assert pool.idle_count == 1

        await until(lambda: pool.open_count == 0)


async def test_old_connections_are_not_kept() -> None:
    """
    A connection older than its limit is not used again, however busy it is.
    """
    pool = ConnectionPool(max_age_seconds=-1.0)
    async with (
        https_receiver(answering()) as receiver,
        guarded_transport(receiver, pool=pool) as transport,
    ):
        for _ in range(2):
            await transport.exchange(outbound(receiver))

    assert receiver.connections == 2


async def test_cancelled_exchange_leaves_nothing() -> None:
    """
    Cancelling the caller closes the connection, whatever the step of the exchange.
    """
    here = asyncio.Event()

    async def script(received: Received) -> None:
        del received
        here.set()
        await asyncio.Event().wait()

    async with https_receiver(script) as receiver, guarded_transport(receiver) as transport:
        task = asyncio.create_task(transport.exchange(outbound(receiver)))
        await here.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        for steps in range(40):
            task = asyncio.create_task(transport.exchange(outbound(receiver)))
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task


class LateCancel:
    """
    A connector that has its caller cancelled as soon as a connection is open.
    """

    def __init__(self, connector: Connector) -> None:
        self._connector = connector
        self.caller: asyncio.Task[Response] | None = None
        self.opened: Connection | None = None

    async def open(
        self, request: OutboundRequest, clock: ExchangeClock, on_lost: OnLost
    ) -> Connection:
        """
        Open a connection that its caller will not take.
        """
        self.opened = await self._connector.open(request, clock, on_lost)
        assert self.caller is not None
        asyncio.get_running_loop().call_soon(self.caller.cancel)
        return self.opened

    def close(self) -> None:
        """
        Close the connector.
        """
        self._connector.close()


async def test_connection_opened_too_late_is_closed() -> None:
    """
    A connection that opens just as its caller is cancelled is closed.
    """
    async with https_receiver(answering()) as receiver:
        resolver = Resolver(lambda _: ("127.0.0.1",))
        opener = LateCancel(Connector(resolver, contexts(receiver.ca_pem), LOOPBACK.allow))
        transport = GuardedTransport(opener, rules=LOOPBACK)
        opener.caller = asyncio.create_task(transport.exchange(outbound(receiver)))
        with pytest.raises(asyncio.CancelledError):
            await opener.caller
        await until(lambda: opener.opened is not None and opener.opened.closed)
        await transport.aclose()

    assert receiver.requests == []


async def test_closing_ends_what_is_under_way() -> None:
    """
    Closing the transport fails the exchanges under way, so that they do not wait for ever.
    """
    here = asyncio.Event()

    async def script(received: Received) -> None:
        del received
        here.set()
        await asyncio.Event().wait()

    async with https_receiver(script) as receiver, guarded_transport(receiver) as transport:
        waiting = asyncio.create_task(failure(transport, outbound(receiver)))
        await here.wait()
        opening = asyncio.create_task(failure(transport, outbound(receiver)))
        await asyncio.sleep(0)
        await transport.aclose()

        assert (await waiting).kind is FailureKind.PROTOCOL
        assert (await opening).kind is FailureKind.INTERRUPTED
        assert (await failure(transport, outbound(receiver))).kind is FailureKind.INTERRUPTED


@pytest.mark.slow
async def test_closed_connections_need_no_garbage_collector() -> None:
    """
    The memory of a closed connection is free at once, without the garbage collector.
    """
    script = answering(200, b"ok", ("Connection: close",))
    async with http_receiver(script) as receiver, guarded_transport() as transport:
        gc.collect()
        gc.disable()
        try:
            for _ in range(5):
                await transport.exchange(outbound(receiver))
            await until(lambda: transport.pool.open_count == 0)
            left = [found for found in gc.get_objects() if isinstance(found, Connection)]
        finally:
            gc.enable()

    assert left == []
