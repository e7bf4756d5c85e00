"""
Deliveries that do not succeed at the first attempt.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from shipedge.webhooks.dispatch.v1 import attempt_pb2, delivery_pb2, delivery_service_pb2
from shipedge.webhooks.events.v1 import failure_kind_pb2
from tests.e2e.test_pair import settled, shipped
from tests.support.pair import (
    DISPATCH,
    PATIENCE_SECONDS,
    Pair,
    environment_of,
    eventually,
    running_pair,
)
from tests.support.receivers import Received, Script, answering, https_receiver

pytestmark = pytest.mark.anyio

Delivery = delivery_pb2.Delivery


def failing_first(times: int) -> Script:
    """
    Make a script that answers 500 *times* times, then 200.
    """
    seen = [0]

    async def script(received: Received) -> None:
        seen[0] += 1
        await received.answer(500 if seen[0] <= times else 200, b"answer")

    return script


async def test_failed_attempt_is_repeated_with_the_same_bytes(tmp_path: Path) -> None:
    """
    A retry has the id and the bytes of the first attempt; the log has both attempts.
    """
    async with https_receiver(failing_first(1), host="127.0.0.1") as receiver:
        async with running_pair(environment_of(tmp_path, receiver)) as pair:
            made = await pair.subscribe(receiver.url, "orders/shipped", "v3", retry_seconds=[1])
            await pair.known(made.name)
            await pair.publish(shipped("retried"))
            await settled(pair, Delivery.STATE_SUCCEEDED)

            first, second = receiver.requests
            assert first.body == second.body
            assert first.headers["webhook-id"] == second.headers["webhook-id"]
            assert [it.headers["x-shipedge-attempt"] for it in receiver.requests] == ["1", "2"]
            log = await pair.attempts()
            assert [it.response_code for it in log] == [200, 500]
            where = (
                'start_time >= "2026-01-01T00:00:00Z" AND event_type = "orders/shipped"'
                f' AND status = FAILURE AND url = "{receiver.url}"'
            )
            (failure,) = await pair.attempts(where=where)
            assert failure.number == 1
            assert failure.subscription == made.name
            assert await pair.attempts(where='url = "https://127.0.0.1/other"') == []


async def test_second_request_behind_a_lost_connection_is_a_second_attempt(tmp_path: Path) -> None:
    """
    It follows at once on a connection of its own, and the log has both.
    """

    async def script(received: Received) -> None:
        if len(receiver.requests) == 2:
            received.reset()
        else:
            await received.answer()

    async with https_receiver(script, host="127.0.0.1") as receiver:
        async with running_pair(environment_of(tmp_path, receiver)) as pair:
            made = await pair.subscribe(receiver.url, "orders/shipped", "v3", retry_seconds=[3600])
            await pair.known(made.name)
            await pair.publish(shipped("first"))
            await settled(pair, Delivery.STATE_SUCCEEDED)
            await pair.publish(shipped("second"))
            await eventually(lambda: len(receiver.requests) == 3)
            await settled(pair, Delivery.STATE_SUCCEEDED)

            assert [it.connection for it in receiver.requests] == [1, 1, 2]
            assert [it.headers["x-shipedge-attempt"] for it in receiver.requests] == ["1", "1", "2"]
            repeated, lost, _ = await pair.attempts()
            assert (repeated.number, repeated.response_code) == (2, 200)
            assert (lost.number, lost.failure_kind) == (
                1,
                failure_kind_pb2.FAILURE_KIND_CONNECTION_LOST,
            )


async def test_resend_after_a_restart_sends_the_stored_bytes(tmp_path: Path) -> None:
    """
    A failed delivery can be resent by another process, with the same bytes.
    """
    async with https_receiver(answering(500), host="127.0.0.1") as gone:
        environment = environment_of(tmp_path, gone)
        async with running_pair(environment) as pair:
            made = await pair.subscribe(gone.url, "orders/shipped", "v2", retry_seconds=[1])
            await pair.known(made.name)
            await pair.publish(shipped("resent"))
            (failed,) = await settled(pair, Delivery.STATE_FAILED)
            await pair.kill(DISPATCH)
            await pair.start(DISPATCH)

            request = delivery_service_pb2.ResendDeliveryRequest(name=failed.name)
            again = await pair.deliveries.ResendDelivery(request)
            assert again.state == Delivery.STATE_PENDING
            await eventually(lambda: len(gone.requests) == 3)

            first, _, third = gone.requests
            assert first.body == third.body
            assert first.headers["webhook-id"] == third.headers["webhook-id"]
            (delivery,) = await settled(pair, Delivery.STATE_FAILED)
            assert delivery.attempt_count >= 3


async def test_attempt_ends_at_its_deadline(tmp_path: Path) -> None:
    """
    An attempt without an answer ends at its deadline, as FAILURE_KIND_TIMEOUT.
    """

    async def silent(_received: Received) -> None:
        await asyncio.sleep(60)

    async with https_receiver(silent, host="127.0.0.1") as receiver:
        environment = environment_of(tmp_path, receiver, SHIPEDGE_DISPATCH_DEADLINE="1s")
        async with running_pair(environment) as pair:
            made = await pair.subscribe(receiver.url, "orders/shipped", "v2")
            await pair.known(made.name)
            await pair.publish(shipped("hanging"))
            first = await attempted(pair, 1)
            if not in_time(first):
                # The machine may have stalled; a fault of the service would happen again.
                await pair.publish(shipped("hanging-again"))
            log = await attempted(pair, 1 if in_time(first) else 2)

            assert {attempt.failure_kind for attempt in log} == {
                failure_kind_pb2.FAILURE_KIND_TIMEOUT
            }
            assert in_time(log)


async def attempted(pair: Pair, count: int) -> list[attempt_pb2.Attempt]:
    """
    Wait until *count* attempts are in the log.
    """
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(log := await pair.attempts()) < count:
            await asyncio.sleep(0.1)
    return log


def in_time(log: list[attempt_pb2.Attempt]) -> bool:
    """
    Tell whether an attempt ended within its deadline of one second and half a second more.
    """
    return any(attempt.duration.ToTimedelta().total_seconds() < 1.5 for attempt in log)


async def test_pending_deliveries_survive_a_kill(tmp_path: Path) -> None:
    """
    An accepted event is delivered although the process that accepted it was killed.
    """
    killed = asyncio.Event()

    async def script(received: Received) -> None:
        await received.answer(200 if killed.is_set() else 500)

    async with https_receiver(script, host="127.0.0.1") as receiver:
        async with running_pair(environment_of(tmp_path, receiver)) as pair:
            made = await pair.subscribe(
                receiver.url, "orders/shipped", "v2", retry_seconds=[2] * 20
            )
            await pair.known(made.name)
            await pair.publish(shipped("killed"))
            await attempted(pair, 1)
            await pair.kill(DISPATCH)
            killed.set()
            await pair.start(DISPATCH)

            (delivery,) = await settled(pair, Delivery.STATE_SUCCEEDED)
            assert delivery.attempt_count >= 2
