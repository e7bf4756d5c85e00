"""
How long calls of somebody else take, measured in a process of its own, because that of the
attacker is busy: `python -m tests.attacks.harness.clock ADDRESS FOLDER WHO`.

It reads commands and answers each with a line of JSON. `publish N` makes so many calls one after
the other, and answers with the seconds of those that succeeded. `health` asks for health until the
next line comes, and answers with the longest time.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
import uuid
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from dispatch_service.payloads import example_event
from shipedge.webhooks.client import channel
from shipedge.webhooks.dispatch.v1 import publisher_service_pb2, publisher_service_pb2_grpc

PAUSE_SECONDS = 0.05
DEADLINE_SECONDS = 10.0
ACCOUNT = 200


def publish(account: int, *warehouses: str) -> publisher_service_pb2.PublishEventsRequest:
    """
    Make a request with one new event.
    """
    event = example_event("orders/shipped")
    event.event_id, event.account_id = uuid.uuid4().hex, account
    event.warehouses[:] = warehouses
    for shipment in event.order_status_changed.order.shipments:
        shipment.warehouse = ""
    return publisher_service_pb2.PublishEventsRequest(events=[event])


async def published(connection: grpc.aio.Channel, calls: int) -> list[float]:
    """
    Publish events one after the other; return the seconds of the calls that succeeded.
    """
    stub = publisher_service_pb2_grpc.PublisherServiceStub(connection)
    seconds = []
    for _ in range(calls):
        request = publish(ACCOUNT)
        started = time.monotonic()
        try:
            answer = await stub.PublishEvents(request, timeout=DEADLINE_SECONDS)
        except grpc.aio.AioRpcError:
            continue
        if answer.results[0].HasField("accepted"):
            seconds.append(time.monotonic() - started)
    return seconds


async def slowest_check(connection: grpc.aio.Channel) -> float:
    """
    Ask for health until the next line of the input.
    """
    ended = asyncio.ensure_future(_next_line())
    stub = health_pb2_grpc.HealthStub(connection)
    worst = 0.0
    while not ended.done():
        started = time.monotonic()
        await stub.Check(health_pb2.HealthCheckRequest(), timeout=DEADLINE_SECONDS)
        worst = max(worst, time.monotonic() - started)
        await asyncio.sleep(PAUSE_SECONDS)
    return worst


async def _next_line() -> str:
    return await asyncio.to_thread(sys.stdin.readline)


async def main(address: str, secrets: Path, who: str) -> None:
    """
    Answer commands until the input ends.
    """
    files = [secrets / who / name for name in ("certificate.pem", "key.pem", "ca.pem")]
    async with channel.connect(address, channel.channel_credentials(*files)) as connection:
        while words := (await _next_line()).split():
            answer: object
            match words:
                case ["publish", calls]:
                    answer = await published(connection, int(calls))
                case _:
                    answer = await slowest_check(connection)
            print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), sys.argv[3]))
