"""
Requests with odd values, by the thousand, to every method of both services.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

import grpc
from google.protobuf.descriptor import MethodDescriptor

from tests.attacks.harness.clock import publish
from tests.attacks.harness.model import Attack, Verdict
from tests.attacks.harness.setups import FEED, OPERATOR, POSTGRESQL, SQLITE, Setup
from tests.attacks.harness.stage import Stage
from tests.support.odd_requests import Answers, OddRequests, call_all
from tests.support.pair import CONFIG, DISPATCH, Pair, eventually
from tests.unit.service_runtime.rpc.test_access import METHODS

CALLS = 20_000
WORKERS = 8
"""
How many callers send requests at the same time, because those of streams wait for most of it.
"""

SEED = 11
OWNER = "accounts/100"
SHOWN = 3


async def existing(stage: Stage) -> list[str]:
    """
    Make a subscription, and an event that is delivered; return their names and their owner's.
    """
    pair = Pair(stage.environment)
    for package in (CONFIG, DISPATCH):
        pair.channels[package] = await stage.connect(OPERATOR, package)
    webhook = await pair.subscribe(stage.receiver.url, "orders/shipped", "v3", OWNER)
    await pair.known(webhook.name)
    await pair.publisher.PublishEvents(publish(int(OWNER.rpartition("/")[2])))
    await eventually(lambda: len(stage.receiver.requests) > 0)
    # The event by which the subscription was known has no delivery.
    delivery = (await pair.log_of(OWNER))[0]
    return [OWNER, webhook.name, delivery.name, f"{OWNER}/deliveries/-", delivery.event]


def parts() -> list[tuple[str, str, Mapping[str, MethodDescriptor]]]:
    """
    Return who calls which service, and its methods: the feed's are for services alone.
    """
    feed = {path: it for path, it in METHODS.items() if ".FeedService/" in path}
    config = {path: it for path, it in METHODS.items() if ".config." in path and path not in feed}
    dispatch = {path: it for path, it in METHODS.items() if ".dispatch." in path}
    return [(FEED, CONFIG, feed), (OPERATOR, CONFIG, config), (OPERATOR, DISPATCH, dispatch)]


async def called(stage: Stage, calls: int, answers: Answers) -> None:
    """
    Make *calls* calls of all methods, spread over the workers.
    """
    names = await existing(stage)
    rounds = -(-calls // (len(METHODS) * WORKERS))
    connections: dict[tuple[str, str], grpc.aio.Channel] = {}
    for who, package, _ in parts():
        connections[who, package] = await stage.connect(who, package)

    async def work(number: int) -> None:
        requests = OddRequests(names, seed=SEED + number)
        for who, package, methods in parts():
            await call_all(connections[who, package], methods, rounds, requests, answers)

    async with asyncio.TaskGroup() as group:
        for number in range(WORKERS):
            group.create_task(work(number))


async def odd_requests(stage: Stage, calls: int) -> Verdict:
    """
    Call all methods with odd values; then the services must be as well as before.
    """
    verdict, answers = Verdict(), Answers()
    await called(stage, calls, answers)
    total = sum(answers.codes.values())
    verdict.expect(total >= calls, f"{total} calls")
    counts = Counter({code: answers.codes[code] for code in ("INTERNAL", "UNKNOWN")})
    text = ", ".join(f"{count} {code}" for code, count in counts.items())
    verdict.expect(not counts.total(), text)
    unexpected = " | ".join(it[:150] for it in answers.unexpected[:SHOWN])
    verdict.expect(not answers.unexpected, f"{len(answers.unexpected)} unexpected {unexpected}")
    refused = answers.codes["INVALID_ARGUMENT"]
    verdict.expect(0 < refused < total, f"{refused} refused as invalid, {answers.codes['OK']} OK")
    verdict.expect(await stage.probe(), "the probe succeeds")
    return verdict


def _attack(database: str, calls: int) -> Attack:
    scenario: Callable[[Stage], Awaitable[Verdict]] = partial(odd_requests, calls=calls)
    promise = f"{calls} odd requests to all methods: 0 INTERNAL, 0 UNKNOWN, {database}"
    return Attack(
        f"requests.{database}", scenario, promise, Setup(database), seconds=400, alone=False
    )


ATTACKS = [_attack(database, CALLS) for database in (SQLITE, POSTGRESQL)]
