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
from tests.attacks.model import Attack, Verdict
from tests.attacks.stage import ATTACKER, NOBODY, Stage

PUBLISH = "/shipedge.webhooks.dispatch.v1.PublisherService/PublishEvents"
MOST_MIB = 100
REST_SECONDS = 10
HEALTH_SECONDS = 0.5
REFUSALS = {
    "BATCH_INVALID",
    "CALLER_LIMIT_REACHED",
    "CALLER_UNKNOWN",
    "MESSAGE_MALFORMED",
    "",
}

LARGE = publisher_service_pb2.PublishEventsRequest(
    events=[Event(event_id="x" * 4_000_000)]
).SerializeToString()
EMPTY_EVENTS = b"\x0a\x00" * 2_000_000


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
    asking = await stage.connect("innocent")
    await stage.health_seconds(asking)
    before = peak = stage.memory()
    connection = await stage.connect(who)
    method: Any = connection.unary_unary(PUBLISH)
    running = [asyncio.ensure_future(_outcome(method(message))) for _ in range(calls)]
    slowest = 0.0
    while not all(call.done() for call in running):
        slowest = max(slowest, await stage.health_seconds(asking))
        peak = max(peak, stage.memory())
        await asyncio.sleep(0.05)
    reasons = {call.result() for call in running}
    await asyncio.sleep(REST_SECONDS)
    after = stage.memory()
    seen = f"{before:.0f} MiB, at most {peak:.0f}, {after:.0f} after {REST_SECONDS} s"
    verdict.expect(peak - before < MOST_MIB, f"memory grows by less than {MOST_MIB} MiB: {seen}")
    verdict.expect(after - before < MOST_MIB / 2, f"and is given back: {seen}")
    verdict.expect(slowest < HEALTH_SECONDS, f"health answers within {slowest:.2f} s", late=True)
    verdict.expect(reasons <= REFUSALS, f"reasons {sorted(reasons)}")
    return verdict


def _attack(name: str, who: str, message: bytes, calls: int) -> Attack:
    async def run(stage: Stage) -> Verdict:
        return await flooded(stage, who, message, calls)

    return Attack(f"messages.{name}.{who}", run)


ATTACKS = [
    _attack(name, who, message, calls)
    for who in (NOBODY, ATTACKER)
    for name, message, calls in (("large", LARGE, 150), ("empty_events", EMPTY_EVENTS, 12))
]
