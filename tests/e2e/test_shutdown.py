"""
Shutdown of the dispatch service with open deliveries.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import grpc
import pytest
import sqlalchemy as sa

from dispatch_service.storage.schema import attempts, deliveries
from service_runtime.database.engine import create_engine, reading
from service_runtime.rpc.status import read_error
from shipedge.webhooks.dispatch.v1 import delivery_service_pb2, publisher_service_pb2
from tests.e2e.test_pair import shipped
from tests.support.pair import (
    CONFIG,
    DISPATCH,
    PATIENCE_SECONDS,
    Pair,
    environment_of,
    eventually,
    running_pair,
)
from tests.support.receivers import Received, https_receiver

pytestmark = pytest.mark.anyio

OPEN_ATTEMPTS = 2
PUBLISHED = 6


async def closed(pair: Pair) -> None:
    """
    Wait until the dispatch service accepts no connections.
    """
    host, port = pair.address(DISPATCH).split(":")
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                _, writer = await asyncio.open_connection(host, int(port))
            except OSError:
                return
            writer.close()
            await asyncio.sleep(0.05)


async def left(directory: Path) -> list[tuple[str, bool, int, list[str]]]:
    """
    Return for each delivery: state, whether it is leased, attempt count, statuses in the log.
    """
    engine = create_engine(f"sqlite:///{directory}/data/dispatch.db", application_name="tests")
    columns = deliveries.c
    try:
        async with reading(engine) as db:
            logged = (await db.execute(sa.select(attempts.c.delivery_id, attempts.c.status))).all()
            found = await db.execute(
                sa.select(
                    columns.delivery_id, columns.state, columns.lease_owner, columns.attempt_count
                )
            )
            return sorted(
                (
                    row.state,
                    row.lease_owner is not None,
                    row.attempt_count,
                    [status for delivery_id, status in logged if delivery_id == row.delivery_id],
                )
                for row in found
            )
    finally:
        await engine.dispose()


async def test_sigterm_ends_attempts_and_releases_waiting_deliveries(tmp_path: Path) -> None:
    """
    After SIGTERM the dispatch service finishes open attempts and writes their results.

    It releases the other deliveries and exits with 0.
    """
    opened = asyncio.Event()

    async def script(received: Received) -> None:
        await opened.wait()
        await received.answer(200)

    async with https_receiver(script, host="127.0.0.1") as receiver:
        environment = environment_of(
            tmp_path,
            receiver,
            SHIPEDGE_DISPATCH_ENDPOINT_CONCURRENCY=str(OPEN_ATTEMPTS),
            SHIPEDGE_DISPATCH_DEADLINE="60s",
            SHIPEDGE_DISPATCH_LEASE="130s",
        )
        async with running_pair(environment) as pair:
            made = await pair.subscribe(receiver.url, "orders/shipped", "v2")
            await pair.known(made.name)
            await pair.publish(*(shipped(f"e{n}") for n in range(PUBLISHED)))
            await eventually(lambda: len(receiver.requests) == OPEN_ATTEMPTS)
            child = pair.children[DISPATCH]

            child.terminate()
            await closed(pair)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(child.wait(), 1)
            opened.set()

            assert await pair.stop(DISPATCH) == 0

    assert len(receiver.requests) == OPEN_ATTEMPTS
    *released, one, other = await left(tmp_path)
    assert released == [("PENDING", False, 0, [])] * (PUBLISHED - OPEN_ATTEMPTS)
    assert one == other == ("SUCCEEDED", False, 1, ["SUCCESS"])


async def answer_all(received: Received) -> None:
    """
    Confirm everything.
    """
    await received.answer(200)


@pytest.mark.slow
async def test_streams_do_not_hold_a_service(tmp_path: Path) -> None:
    """
    A watch, a publish stream and the feed end at once, although the grace is long.
    """
    async with https_receiver(answer_all, host="127.0.0.1") as receiver:
        environment = environment_of(tmp_path, receiver, SHIPEDGE_GRACE="100s")
        async with running_pair(environment) as pair, asyncio.timeout(PATIENCE_SECONDS):
            made = await pair.subscribe(receiver.url, "orders/shipped", "v2")
            await pair.known(made.name)
            request = delivery_service_pb2.WatchAttemptsRequest(parent="accounts/100")
            watch = pair.deliveries.WatchAttempts(request)
            await watch.read()
            stream: Any = pair.publisher.StreamEvents()
            await stream.write(
                publisher_service_pb2.StreamEventsRequest(batch_id=1, events=[shipped("e1")])
            )
            assert (await stream.read()).batch_id == 1

            pair.children[DISPATCH].terminate()
            ends = [await _end(watch), await _end(stream)]
            codes = [await pair.stop(DISPATCH), await pair.stop(CONFIG)]

    assert codes == [0, 0]
    assert ends == [("UNAVAILABLE", "SHUTTING_DOWN")] * 2


async def _end(stream: Any) -> tuple[str, str]:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        while await stream.read() is not grpc.aio.EOF:
            pass
    error = read_error(raised.value)
    return error.code, error.reason
