"""
The deadlines of exchanges.
"""

from __future__ import annotations

import asyncio
import socket
import time
from functools import partial

import pytest

from dispatch_service.domain.outcomes import FailureKind
from dispatch_service.egress.clocks import STALL_SECONDS, ExchangeClocks
from dispatch_service.egress.connector import connect_tcp
from tests.support.pair import eventually
from tests.support.receivers import answering, https_receiver
from tests.support.transports import failure, guarded_transport, outbound


async def test_no_deadline_passes_early() -> None:
    """
    Deadlines pass in time, whatever their length and their order; a stopped one never does.
    """
    clocks = ExchangeClocks()
    passed: dict[float, float] = {}
    started_at = time.monotonic()

    def record(seconds: float) -> None:
        passed[seconds] = time.monotonic() - started_at

    for seconds in (0.2, 0.0, 0.1, -1.0):
        clocks.start(seconds).on_expiry = lambda seconds=seconds: record(seconds)
    stopped = clocks.start(0.05)
    stopped.on_expiry = lambda: record(0.05)
    stopped.stop()
    await eventually(lambda: len(passed) == 4)

    assert sorted(passed) == [-1.0, 0.0, 0.1, 0.2]
    assert all(at >= seconds for seconds, at in passed.items())
    assert not stopped.expired


async def test_error_at_one_deadline_leaves_the_others_alone() -> None:
    """
    An exception at one deadline is reported to the event loop, and the other deadline passes.
    """
    clocks, reported = ExchangeClocks(), []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    bad, good = clocks.start(0.0), clocks.start(0.0)
    bad.on_expiry = lambda: 1 / 0
    await eventually(lambda: good.expired)

    assert isinstance(reported[0]["exception"], ZeroDivisionError)


async def test_timer_starts_anew_after_a_pause() -> None:
    """
    The timer ends when no clock is open, and starts again with the next clock.
    """
    clocks = ExchangeClocks()
    for _ in range(2):
        clock = clocks.start(0.02)
        await eventually(partial(getattr, clock, "expired"))
        # So that the timer has ended.
        await asyncio.sleep(0.05)


async def test_no_deadline_passes_after_closing() -> None:
    """
    Closing ends the timer.
    """
    clocks = ExchangeClocks()
    clock = clocks.start(0.0)
    clocks.close()
    await asyncio.sleep(0.1)

    assert not clock.expired


@pytest.mark.slow
async def test_answer_that_came_while_the_process_stood_still_is_read() -> None:
    """
    A deadline that passes while the process is stopped ends no exchange whose answer is there.
    """
    loop, clocks = asyncio.get_running_loop(), ExchangeClocks()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        answered, silent = clocks.start(0.1), clocks.start(0.1)
        loop.add_reader(ours, answered.stop)
        theirs.send(b"HTTP/1.1 200 OK\r\n\r\n")
        time.sleep(STALL_SECONDS + 0.2)  # noqa: ASYNC251 - the process stands still
        # The loop is told of the time before it is told of what can be read.
        clocks._tick()
        await eventually(partial(getattr, silent, "expired"))
        loop.remove_reader(ours)
    assert not answered.expired


@pytest.mark.slow
async def test_no_request_is_sent_after_its_deadline() -> None:
    """
    A request whose deadline passed while the process stood still is not sent: the receiver would
    confirm it, and get it again.
    """

    async def connect(address: str, port: int) -> socket.socket:
        connected = await connect_tcp(address, port)
        time.sleep(STALL_SECONDS + 0.2)  # noqa: ASYNC251 - the process stands still
        return connected

    async with (
        https_receiver(answering()) as receiver,
        guarded_transport(receiver, connect=connect) as transport,
    ):
        error = await failure(transport, outbound(receiver, deadline_seconds=0.3))
        assert error.kind is FailureKind.TIMEOUT
        assert receiver.requests == []
