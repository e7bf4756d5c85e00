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
from tests.attacks.harness import paces
from tests.attacks.harness.model import Attack, Verdict
from tests.attacks.harness.setups import ATTACKER, NOBODY
from tests.attacks.harness.stage import Stage
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


async def open_streams(connections: Sequence[grpc.aio.Channel], kind: str, count: int) -> list[Any]:
    """
    Open the streams, spread over *connections*, and leave them.
    """
    _, path, message = KINDS[kind]
    calls: list[Any] = []
    for index in range(count):
        method: Any = connections[index % len(connections)]
        if kind == "publish":
            calls.append(method.stream_stream(path)())
        else:
            calls.append(method.unary_stream(path)(message))
    await asyncio.sleep(SETTLE_SECONDS)
    return calls


async def attacked(
    stage: Stage,
    who: str,
    kind: str,
    connections: int,
    *,
    count: int = STREAMS,
    calls: int = paces.CALLS,
) -> Verdict:
    """
    Open many streams; meanwhile another caller publishes, and the service is probed.
    """
    verdict = Verdict()
    before = await stage.innocent(calls)
    channels = [await stage.connect(who, KINDS[kind][0]) for _ in range(connections)]
    streams = await open_streams(channels, kind, count)
    during = await stage.innocent(calls)
    probed = await stage.probe()
    verdict.note(f"{sum(not it.done() for it in streams)} of {count} streams not refused")
    verdict.expect(len(during) == calls, f"{len(during)} of {calls} calls of others")
    judge_pace(verdict, before, during)
    verdict.expect(probed, "the probe succeeds")
    for stream in streams:
        stream.cancel()
    return verdict


def judge_pace(verdict: Verdict, before: Sequence[float], during: Sequence[float]) -> None:
    """
    Expect that calls are about as fast as before.
    """
    bound, seen = paces.bound(before), paces.p99(during)
    text = f"p99 {seen * 1000:.0f} ms, before {paces.p99(before) * 1000:.0f} ms"
    verdict.expect(seen <= bound, f"{text}, at most {bound * 1000:.0f} ms", late=True)


PROMISE = "1,000 idle streams cost others nothing: all calls OK, p99 within twice, probe 0"
WHO = {ATTACKER: "one caller", NOBODY: "a certificate of nobody"}


def _attack(who: str, kind: str, connections: int) -> Attack:
    async def run(stage: Stage) -> Verdict:
        return await attacked(stage, who, kind, connections)

    promise = f"{PROMISE}; {WHO[who]}, connections: {connections}"
    return Attack(f"streams.{kind}.{who}.{connections}", run, promise)


ATTACKS = [
    _attack(who, kind, connections)
    for kind in KINDS
    for who, connections in ((ATTACKER, 1), (ATTACKER, 10), (NOBODY, 10))
]
