"""
The demo: typed events in, the documented JSON at an HTTPS receiver.

Everything runs on loopback with a throw-away data directory. It ends with 0
only if the receiver got the bodies that the documentation shows.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from pathlib import Path

from standardwebhooks import Webhook

from dispatch_service.payloads import example_event
from shipedge.webhooks.dispatch.v1 import attempt_pb2
from tests.support.pair import (
    PATIENCE_SECONDS,
    Pair,
    Subscription,
    environment_of,
    eventually,
    running_pair,
)
from tests.support.receivers import Received, Receiver, answering, https_receiver

EVENT_TYPES = ("orders/shipped", "inventory/corrections")
VERSIONS = ("v1", "v2", "v3")
GOLDEN = Path(__file__).parent.parent / "unit/dispatch_service/payloads/golden"
DOCUMENTED = ("orders_shipped_v2.json", "inventory_corrections_v2.json")


async def main() -> int:
    """
    Show the way of two events; return the exit code.
    """
    with tempfile.TemporaryDirectory(prefix="webhooks-demo-") as directory:
        async with https_receiver(answering(200, b"OK"), host="127.0.0.1") as receiver:
            environment = environment_of(Path(directory), receiver)
            async with running_pair(environment, as_shipped=True) as pair:
                return await show(pair, receiver)


async def show(pair: Pair, receiver: Receiver) -> int:
    """
    Subscribe, publish, print what came, judge it.
    """
    subscriptions = [
        await pair.subscribe(receiver.url, event_type, version)
        for event_type in EVENT_TYPES
        for version in VERSIONS
    ]
    print(f"Created {len(subscriptions)} subscriptions: {', '.join(VERSIONS)} of each event type.")
    await pair.known(*(it.name for it in subscriptions))
    results = await pair.publish(*map(example_event, EVENT_TYPES))
    for result in results:
        print(f"Accepted {result.accepted.name}.")
    await eventually(lambda: len(receiver.requests) == len(subscriptions))
    for received in receiver.requests:
        show_request(received)
    show_log(await settled_log(pair, len(subscriptions)))
    return judge(receiver, subscriptions)


async def settled_log(pair: Pair, wanted: int) -> list[attempt_pb2.Attempt]:
    """
    Wait until all attempts are in the log.
    """
    attempts: list[attempt_pb2.Attempt] = []
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(attempts) < wanted:
            attempts = await pair.attempts()
            await asyncio.sleep(0.05)
    return attempts


def show_request(received: Received) -> None:
    """
    Print a request as the receiver got it.
    """
    print(f"\n{received.method} {received.target}")
    for name, value in received.headers.items():
        print(f"{name}: {value}")
    print(f"\n{received.body.decode()}")


def show_log(attempts: list[attempt_pb2.Attempt]) -> None:
    """
    Print the attempt log, newest first.
    """
    print("\nThe attempt log:")
    for attempt in attempts:
        status = attempt_pb2.Attempt.Status.Name(attempt.status).removeprefix("STATUS_")
        millis = attempt.duration.ToTimedelta().total_seconds() * 1000
        print(
            f"  {attempt.start_time.ToJsonString()}  {status} {attempt.response_code}"
            f"  {millis:6.1f} ms  {attempt.event_type} {attempt.payload_version}  {attempt.url}"
        )


def judge(receiver: Receiver, subscriptions: list[Subscription]) -> int:
    """
    Compare with the documentation and verify the signatures; return the exit code.
    """
    bodies = {received.headers["x-shipedge-topic"]: received for received in receiver.requests}
    failed = 0
    for name in DOCUMENTED:
        documented = json.loads((GOLDEN / name).read_text(), parse_float=str)
        received = json.loads(bodies[documented["event"]].body, parse_float=str)
        same = list(received.items()) == list(documented.items())
        failed += not same
        print(f"{documented['event']} {'equals' if same else 'DIFFERS FROM'} the documented body.")
    for subscription in subscriptions:
        received_one = bodies[subscription.topic]
        Webhook(subscription.signing_secret).verify(received_one.body, received_one.headers)
    print(f"{len(subscriptions)} signatures verified.")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
