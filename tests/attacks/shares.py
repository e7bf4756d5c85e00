"""
An account whose receivers hang, whose publisher floods, or whose receivers answer with much.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing, suppress
from datetime import timedelta
from math import inf
from statistics import median

import grpc

from service_runtime.rpc.status import read_error
from shipedge.webhooks.config.v1 import config_service_pb2, config_service_pb2_grpc
from shipedge.webhooks.config.v1.subscription_pb2 import Subscription
from shipedge.webhooks.dispatch.v1 import publisher_service_pb2 as pb
from shipedge.webhooks.dispatch.v1 import publisher_service_pb2_grpc
from tests.attacks.harness import paces
from tests.attacks.harness.clock import publish
from tests.attacks.harness.model import Attack, Verdict
from tests.attacks.harness.setups import ATTACKER, OPERATOR, Setup
from tests.attacks.harness.stage import Stage
from tests.support.pair import CONFIG, DISPATCH
from tests.support.receivers import answering

TOGETHER = 50
ENDPOINTS = 500
EVENTS = 60
DELIVERIES = 100
PAUSE_SECONDS = 0.1
ARRIVE_SECONDS = 15.0
DEADLINE_SECONDS = 10.0
"""
What waits for slots waits for the deadline of others. Thousands of handshakes that begin at once,
and end at once, keep both cores busy for some seconds: so the median is judged, and the longest.
"""

BATCHES, BATCH_EVENTS, FLOODS = 50, 500, 4

ANSWERS, RETRIES, LOGGED = 400, 20, 2000
MIB = 1024 * 1024

ANSWER_SECONDS = 120.0
OVERSHOOT = 4 * MIB
LEAST_BYTES = 512
"""
What the results that are written together may take beyond the limit, and what is kept of an attempt
after it. Without a limit it were 15 MiB.
"""

_MUCH = answering(500, b"b" * 16384, tuple(f"X-Filler-{n}: {'h' * 1000}" for n in range(8)))


async def subscribe(stage: Stage, owner: str, urls: Sequence[str], *delays: timedelta) -> None:
    """
    Create a subscription of an owner to shipped orders for each URL.
    """
    connection = await stage.connect(OPERATOR, CONFIG)
    stub = config_service_pb2_grpc.ConfigServiceStub(connection)
    requests = []
    for url in urls:
        wanted = Subscription(
            event_type="orders/shipped",
            payload_version="v2",
            url=url,
            status=Subscription.STATUS_ACTIVE,
        )
        for delay in delays:
            wanted.retry_schedule.delays.add().FromTimedelta(delay)
        request = config_service_pb2.CreateSubscriptionRequest(parent=owner, subscription=wanted)
        requests.append(request)
    for start in range(0, len(requests), TOGETHER):
        some = requests[start : start + TOGETHER]
        await asyncio.gather(*(stub.CreateSubscription(request) for request in some))


def events(account: int, count: int) -> pb.PublishEventsRequest:
    """
    Make a request with new events.
    """
    made = [publish(account).events[0] for _ in range(count)]
    return pb.PublishEventsRequest(events=made)


async def deliveries(stage: Stage) -> list[float]:
    """
    Publish events of account 200 at a steady pace; return the seconds until each of those arrived
    that did.
    """
    stub = publisher_service_pb2_grpc.PublisherServiceStub(await stage.connect(OPERATOR))
    published: dict[str, float] = {}
    for _ in range(DELIVERIES):
        request = publish(200)
        published[request.events[0].event_id] = time.monotonic()
        await stub.PublishEvents(request, timeout=ARRIVE_SECONDS)
        await asyncio.sleep(PAUSE_SECONDS)
    end = time.monotonic() + ARRIVE_SECONDS
    while True:
        received = stage.receiver.requests
        arrived = {it.headers["x-shipedge-event-id"]: it.arrived_at for it in received}
        if published.keys() <= arrived.keys() or time.monotonic() > end:
            return [arrived[it] - since for it, since in published.items() if it in arrived]
        await asyncio.sleep(PAUSE_SECONDS)


@asynccontextmanager
async def silence(hosts: Sequence[str], port: int) -> AsyncIterator[list[int]]:
    """
    Accept connections and say nothing; yield how many were open at most, as the only element of a
    list.
    """
    most, writers = [0], set[asyncio.StreamWriter]()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.add(writer)
        most[0] = max(most[0], len(writers))
        with suppress(OSError):
            while await reader.read(65536):
                pass
        writers.discard(writer)
        writer.close()

    server = await asyncio.start_server(hang, hosts, port)
    try:
        yield most
    finally:
        server.close()
        for writer in tuple(writers):
            writer.transport.abort()


async def hanging(stage: Stage) -> Verdict:
    """
    An account has 500 endpoints that hang, and thousands of deliveries for them.
    """
    verdict, port = Verdict(), stage.receiver.port
    hosts = [f"127.0.{n // 250 + 1}.{n % 250 + 1}" for n in range(ENDPOINTS)]
    await subscribe(stage, "accounts/200", [stage.receiver.url])
    await subscribe(stage, "accounts/100", [f"https://{host}:{port}/" for host in hosts])
    attacker = publisher_service_pb2_grpc.PublisherServiceStub(await stage.connect(ATTACKER))
    async with silence(hosts, port) as most:
        before = await deliveries(stage)
        await attacker.PublishEvents(events(100, EVENTS), timeout=60)
        during = await deliveries(stage)
    verdict.note(f"{most[0]} connections hung")
    verdict.expect(len(during) == DELIVERIES, f"{len(during)} of {DELIVERIES} deliveries of others")
    bound, usual, worst = paces.bound(before), median(during or [inf]), paces.p99(during)
    text = f"median {usual * 1000:.0f} ms, at most {bound * 1000:.0f} ms; p99 {worst * 1000:.0f} ms"
    verdict.expect(usual <= bound, f"{text}, before {paces.p99(before) * 1000:.0f} ms", late=True)
    verdict.expect(worst < DEADLINE_SECONDS, "none waited for the deadline of others", late=True)
    return verdict


async def flooding(stage: Stage) -> Verdict:
    """
    A publisher publishes batches of 500 events for one account, as many at a time as it can.
    """
    verdict, reasons = Verdict(), Counter[str]()
    owners: set[str] = set()

    async def flood(connection: grpc.aio.Channel) -> None:
        stub = publisher_service_pb2_grpc.PublisherServiceStub(connection)
        for _ in range(FLOODS):
            try:
                await stub.PublishEvents(events(100, BATCH_EVENTS), timeout=60)
                reasons["accepted"] += 1
            except grpc.aio.AioRpcError as refused:
                detail = read_error(refused)
                reasons[detail.reason] += 1
                owners.add(detail.metadata.get("owner", ""))

    calls = paces.CALLS
    before = await stage.innocent(calls)
    connections = [await stage.connect(ATTACKER) for _ in range(4)]
    floods = [asyncio.create_task(flood(connections[n % 4])) for n in range(BATCHES)]
    during = await stage.innocent(calls)
    await asyncio.gather(*floods)
    verdict.expect(len(during) == calls, f"{len(during)} of {calls} calls of others")
    verdict.expect(reasons["BACKLOG_FULL"] > 0, f"the flood was answered {dict(reasons)}")
    verdict.expect("accounts/100" in owners, "its owner is named")
    verdict.note(f"p99 {paces.p99(during) * 1000:.0f} ms, before {paces.p99(before) * 1000:.0f} ms")
    return verdict


async def answering_much(stage: Stage) -> Verdict:
    """
    A receiver answers each attempt with 24 KiB, and its deliveries are tried 20 times a second
    apart.
    """
    verdict = Verdict()
    delays = (timedelta(seconds=1),) * RETRIES
    await subscribe(stage, "accounts/100", [stage.receiver.url], *delays)
    stub = publisher_service_pb2_grpc.PublisherServiceStub(await stage.connect(ATTACKER))
    await stub.PublishEvents(events(100, ANSWERS), timeout=60)
    accepted = 0
    async with asyncio.timeout(ANSWER_SECONDS):
        while (await asyncio.to_thread(kept, stage))[0] < LOGGED:
            accepted += len(await stage.innocent(20))
            await asyncio.sleep(PAUSE_SECONDS)
    count, size = await asyncio.to_thread(kept, stage)
    bound = MIB + OVERSHOOT + count * LEAST_BYTES
    text = f"{count} attempts kept {size / MIB:.1f} MiB, at most {bound / MIB:.1f} MiB"
    verdict.expect(size <= bound, text)
    warned = "log.owner_limit_reached" in stage.log(DISPATCH).read_text()
    verdict.expect(warned, "the log says that the limit is reached")
    verdict.expect(accepted > 0 and accepted % 20 == 0, f"{accepted} calls of others, none refused")
    return verdict


def kept(stage: Stage) -> tuple[int, int]:
    """
    Return how many attempts of account 100 are logged, and the bytes of their exchanges.
    """
    file = stage.directory / "data" / "dispatch.db"
    query = "SELECT count(*), sum(length(sealed_exchange)) FROM attempts WHERE owner = ?"
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as db:
        count, size = db.execute(query, ["accounts/100"]).fetchone()
    return count, size or 0


ATTACKS = [
    Attack(
        "shares.hanging",
        hanging,
        "500 endpoints of one account hang: those of another all get theirs, half within twice p99",
        Setup(settings={"SHIPEDGE_ALLOWED_TARGETS": "127.0.0.0/8:{port}"}),
        seconds=300.0,
    ),
    Attack(
        "shares.flood",
        flooding,
        "a flood for one account: others see no BACKLOG_FULL, and it gets it with its name",
        Setup(settings={"SHIPEDGE_DISPATCH_MOST_WAITING": "2000"}),
        seconds=300.0,
    ),
    Attack(
        "shares.answers",
        answering_much,
        "24 KiB in every answer: the log of the account is bounded, others publish on",
        Setup(
            settings={"SHIPEDGE_DISPATCH_OWNER_LOG_MB": "1", "SHIPEDGE_LOG_LEVEL": "warning"},
            script=_MUCH,
        ),
        seconds=300.0,
        alone=False,
    ),
]
