"""
Requests of one turn of the event loop, written together.
"""

from __future__ import annotations

import asyncio

import pytest

from dispatch_service.egress.connection import Connection
from dispatch_service.egress.requests import ExchangeFailedError
from dispatch_service.egress.writes import WriteCoalescer
from tests.support.wires import Wire
from tests.unit.dispatch_service.egress.test_connection import Broken, opened

pytestmark = pytest.mark.anyio


async def test_requests_of_one_turn_are_written_in_the_next() -> None:
    """
    Requests are written in their order, and a write that fails concerns only one of them.
    """
    loop = asyncio.get_running_loop()
    writes = WriteCoalescer()
    wires = [Wire(), Broken(), Wire()]
    connections: list[Connection] = [opened(loop, wire) for wire in wires]
    waiters = []
    for number, connection in enumerate(connections):
        waiters.append(connection.send(b"POST /%d" % number))
        writes.add(connection)
    assert [wire.written for wire in wires] == [b"", b"", b""]

    await asyncio.sleep(0)

    assert [wire.written for wire in wires] == [b"POST /0", b"", b"POST /2"]
    assert isinstance(waiters[1].exception(), ExchangeFailedError)
    assert not waiters[0].done()
    assert not waiters[2].done()
