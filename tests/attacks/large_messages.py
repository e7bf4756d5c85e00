"""
Messages that take much memory.
"""

from __future__ import annotations

import asyncio
from typing import Any

import grpc

from service_runtime.rpc.status import read_error
from shipedge.webhooks.dispatch.v1 import publisher_service_pb2
from shipedge.webhooks.events.v1.event_pb2 import Event
from tests.attacks.harness.model import Attack, Verdict
from tests.attacks.harness.setups import ATTACKER, NOBODY, Setup
from tests.attacks.harness.stage import Stage

PUBLISH = "/shipedge.webhooks.dispatch.v1.PublisherService/PublishEvents"
MOST_MIB = 100
MOST_OF_CALLER_MIB = 256
"""
The growth that strangers may cause, and a publisher that has 32 MiB of messages in flight: each is
there as bytes, decoded, serialised for its hash and sealed.
"""

REST_SECONDS = 10
HEALTH_SECONDS = 0.5
HEALTH_OF_CALLER_SECONDS = 3.0
"""
How long a health check takes at most beside strangers, and beside a publisher whose messages are
read and judged: a probe waits for three seconds.
"""
# An event that was taken is refused by itself: its call succeeds.
REFUSALS = {
    "BATCH_INVALID",
    "CALLER_LIMIT_REACHED",
    "CALLER_UNKNOWN",
    "MESSAGE_MALFORMED",
    "",
}

LARGE = publisher_service_pb2.PublishEventsRequest(
    events=[Event(account_id=100, event_id="x" * 4_000_000)]
).SerializeToString()
EMPTY_EVENTS = b"\x0a\x00" * 2_000_000


def _empty_items() -> bytes:
    event = Event(account_id=100, event_id="deep")
    for _ in range(125_000):
        event.order_status_changed.order.items.add()
    return publisher_service_pb2.PublishEventsRequest(events=[event] * 16).SerializeToString()


EMPTY_ITEMS = _empty_items()


async def _outcome(call: Any) -> str:
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return read_error(error).reason
    return ""


async def flooded(stage: Stage, who: str, message: bytes, calls: int) -> Verdict:
    """
    Make *calls* at once; watch memory and health meanwhile and afterwards.
    """
    verdict = Verdict()
    before = peak = stage.memory()
    connection = await stage.connect(who)
    method: Any = connection.unary_unary(PUBLISH)
    async with stage.health_watched() as slowest:
        running = [asyncio.ensure_future(_outcome(method(message))) for _ in range(calls)]
        while not all(call.done() for call in running):
            peak = max(peak, stage.memory())
            await asyncio.sleep(0.05)
    reasons = {call.result() for call in running}
    await asyncio.sleep(REST_SECONDS)
    after = stage.memory()
    most = MOST_MIB if who == NOBODY else MOST_OF_CALLER_MIB
    verdict.expect(peak - before < most, f"memory grows by {peak - before:.0f} of {most} MiB")
    verdict.expect(after - before < MOST_MIB, f"{after - before:.0f} MiB after {REST_SECONDS} s")
    bound = HEALTH_SECONDS if who == NOBODY else HEALTH_OF_CALLER_SECONDS
    verdict.expect(slowest[0] < bound, f"health answers within {slowest[0]:.2f} s", late=True)
    verdict.expect(reasons <= REFUSALS, f"reasons {sorted(reasons)}")
    return verdict


PROMISES = {
    NOBODY: "takes less than 100 MiB, given back after 10 s; health within 0.5 s",
    ATTACKER: "takes no more than its limit, given back after 10 s; the rest is refused",
}
"""
What holds of a certificate of nobody, and of a known publisher.
"""


def _attack(name: str, who: str, message: bytes, calls: int) -> Attack:
    async def run(stage: Stage) -> Verdict:
        return await flooded(stage, who, message, calls)

    promise = f"{calls} calls of {len(message) / 1e6:.0f} MB ({name}) {PROMISES[who]}"
    return Attack(f"messages.{name}.{who}", run, promise, Setup(as_shipped=True))


ATTACKS = [
    _attack(name, who, message, calls)
    for who in (NOBODY, ATTACKER)
    for name, message, calls in (
        ("large", LARGE, 150),
        ("empty_events", EMPTY_EVENTS, 12),
        ("empty_items", EMPTY_ITEMS, 12),
    )
]
