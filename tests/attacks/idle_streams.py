"""
A thousand streams that say nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import grpc

from shipedge.webhooks.config.v1 import config_service_pb2
from shipedge.webhooks.dispatch.v1 import delivery_service_pb2
from tests.attacks.model import Attack, Verdict
from tests.attacks.stage import ATTACKER, INNOCENT_CALLS, NOBODY, Stage
from tests.support.pair import CONFIG, DISPATCH

STREAMS = 1000
SETTLE_SECONDS = 3.0

_WATCH = delivery_service_pb2.WatchAttemptsRequest(parent="accounts/100").SerializeToString()
_ENDPOINTS = config_service_pb2.WatchEndpointEventsRequest(
    parent="accounts/100"
).SerializeToString()

KINDS: dict[str, tuple[str, str, bytes]] = {
    "health": (DISPATCH, "/grpc.health.v1.Health/Watch", b""),
    "publish": (DISPATCH, "/shipedge.webhooks.dispatch.v1.PublisherService/StreamEvents", b""),
    "attempts": (
        DISPATCH,
        "/shipedge.webhooks.dispatch.v1.DeliveryService/WatchAttempts",
        _WATCH,
    ),
    "endpoints": (
        CONFIG,
        "/shipedge.webhooks.config.v1.ConfigService/WatchEndpointEvents",
        _ENDPOINTS,
    ),
}
"""
The service, the method and the message of streams that callers may open.
"""


async def open_streams(connections: Sequence[grpc.aio.Channel], kind: str) -> list[Any]:
    """
    Open the streams, spread over *connections*, and leave them.
    """
    _, path, message = KINDS[kind]
    calls: list[Any] = []
    for index in range(STREAMS):
        method: Any = connections[index % len(connections)]
        if kind == "publish":
            calls.append(method.stream_stream(path)())
        else:
            calls.append(method.unary_stream(path)(message))
    await asyncio.sleep(SETTLE_SECONDS)
    return calls


async def attacked(stage: Stage, who: str, kind: str, connections: int) -> Verdict:
    """
    Open a thousand streams; meanwhile another caller publishes, and the service is probed.
    """
    verdict = Verdict()
    before = max(await stage.innocent())
    package = KINDS[kind][0]
    channels = [await stage.connect(who, package) for _ in range(connections)]
    calls = await open_streams(channels, kind)
    seconds = await stage.innocent()
    verdict.expect(
        len(seconds) == INNOCENT_CALLS, f"{len(seconds)} of {INNOCENT_CALLS} calls of others"
    )
    verdict.note(f"worst {max(seconds, default=0) * 1000:.0f} ms, before {before * 1000:.0f} ms")
    verdict.expect(await stage.probe(), "the probe succeeds")
    for call in calls:
        call.cancel()
    return verdict


def _attack(who: str, kind: str, connections: int) -> Attack:
    async def run(stage: Stage) -> Verdict:
        return await attacked(stage, who, kind, connections)

    return Attack(f"streams.{kind}.{who}.{connections}", run)


ATTACKS = [
    _attack(who, kind, connections)
    for kind in KINDS
    for who, connections in ((ATTACKER, 1), (ATTACKER, 10), (NOBODY, 10))
]
