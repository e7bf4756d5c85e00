"""
The kill loop: `python -m tests.crash.loop [minutes] [seed]`.

Two dispatch replicas on one PostgreSQL, a receiver that flaps, publishers that do
not give up; meanwhile replicas are killed or stopped past their lease, and the
database is stopped as in a crash. At the end everybody's log is compared.
"""

from __future__ import annotations

import asyncio
import random
import signal
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.crash.ledger import Ledger, Verdict, judge
from tests.crash.stage import (
    Memory,
    Publisher,
    Replica,
    all_delivered,
    read_log,
    shipped,
)
from tests.support.databases import Postgres, free_port, fresh_database, running_postgres
from tests.support.pair import CONFIG, Pair, environment_of
from tests.support.receivers import Receiver, https_receiver

LEASE_SECONDS = 12.0
CALM_SECONDS = 120.0
ACCOUNT = 100
PUBLISHERS = 4
BATCH = 10
PAUSE_SECONDS = 0.15
RETRY_SECONDS = (1,) * 10 + (3,) * 10

LOGS = Path("build/crash")

SETTINGS = {
    "SHIPEDGE_DISPATCH_DEADLINE": "1s",
    "SHIPEDGE_DISPATCH_LEASE": f"{LEASE_SECONDS:g}s",
    "SHIPEDGE_LOG_LEVEL": "warning",
}


class Flapping(Memory):
    """
    A receiver that refuses some requests while it is in a bad mood.
    """

    def __init__(self, chance: random.Random) -> None:
        super().__init__()
        self._chance = chance
        self.share = 0.1

    def status(self) -> int:
        """
        Answer 500, or rarely 503, to a share of the requests.
        """
        if self._chance.random() >= self.share:
            return 200
        return 503 if self._chance.random() < 0.1 else 500


@dataclass
class Loop:
    """
    A run of the loop: what takes part, and how often something was killed.
    """

    server: Postgres
    replicas: list[Replica]
    publisher: Publisher
    memory: Flapping
    chance: random.Random
    until: float
    kills: int = 0
    published: int = 0

    @property
    def goes_on(self) -> bool:
        """
        Whether there is time left.
        """
        return time.monotonic() < self.until

    async def publish(self, who: int) -> None:
        """
        Publish batch after batch, each until it is acknowledged.
        """
        while self.goes_on:
            first = self.published
            self.published += BATCH
            events = [shipped(f"{who}-{n}", ACCOUNT) for n in range(first, first + BATCH)]
            await self.publisher.publish(events)
            await asyncio.sleep(PAUSE_SECONDS)

    async def torment(self) -> None:
        """
        Kill and stop, a thing at a time, until the time is over.
        """
        while self.goes_on:
            await asyncio.sleep(self.chance.uniform(0.5, 2.5))
            what = self.chance.choices(
                (self.kill_replica, self.stop_replica, self.crash_database), (6, 2, 1)
            )[0]
            self.memory.share = self.chance.choice((0.0, 0.1, 0.5))
            await what(self.chance.choice(self.replicas))
            self.kills += 1

    async def kill_replica(self, replica: Replica) -> None:
        """
        Kill a process in the middle of whatever it does.
        """
        await replica.kill()
        await replica.start()

    async def stop_replica(self, replica: Replica) -> None:
        """
        Let a process stand still until others have its deliveries, then let it go on.
        """
        replica.signal(signal.SIGSTOP)
        await asyncio.sleep(min(LEASE_SECONDS * 1.2, max(self.until - time.monotonic(), 1)))
        replica.signal(signal.SIGCONT)

    async def crash_database(self, _replica: Replica) -> None:
        """
        Stop the database as a crash would, and start it again.
        """
        await asyncio.to_thread(self.server.stop, "immediate")
        await asyncio.sleep(self.chance.uniform(0, 1))
        await asyncio.to_thread(self.server.start)

    async def run(self) -> None:
        """
        Publish and torment until the time is over, then let all settle.
        """
        async with asyncio.TaskGroup() as group:
            for who in range(PUBLISHERS):
                group.create_task(self.publish(who))
            group.create_task(self.torment())
        self.memory.share = 0.0


async def play(server: Postgres, url: str, minutes: float, seed: int) -> tuple[Verdict, int]:
    """
    Run the loop; return what came of it, and how often something was killed.
    """
    chance = random.Random(seed)  # noqa: S311 - to be repeated by its seed
    memory = Flapping(chance)
    async with AsyncExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="webhooks-crash-"))
        receiver = await stack.enter_async_context(https_receiver(memory, host="127.0.0.1"))
        replicas = await _started(stack, environment_of(Path(directory), receiver), receiver, url)
        publisher = Publisher([it.address for it in replicas])
        until = time.monotonic() + minutes * 60
        loop = Loop(server, replicas, publisher, memory, chance, until)
        await loop.run()
        await all_delivered(url, CALM_SECONDS)
        ledger = Ledger(publisher.acknowledged, memory.requests)
        await read_log(url, ledger)
    return judge(ledger), loop.kills


async def _started(
    stack: AsyncExitStack, environment: dict[str, str], receiver: Receiver, url: str
) -> list[Replica]:
    """
    Start the config service with one subscription, and two replicas.
    """
    pair = Pair(environment)
    await pair.start(CONFIG)
    stack.push_async_callback(pair.stop, CONFIG)
    await pair.subscribe(receiver.url, "orders/shipped", "v2", retry_seconds=RETRY_SECONDS)
    replicas = []
    for at in range(2):
        replica = Replica(
            {
                **environment,
                **SETTINGS,
                "SHIPEDGE_DISPATCH_CONFIG_ADDRESS": pair.address(CONFIG),
                "SHIPEDGE_DISPATCH_DATABASE_URL": url,
                "SHIPEDGE_DISPATCH_LISTEN": f"127.0.0.1:{free_port()}",
            },
            log=LOGS / f"replica{at}.log",
        )
        await replica.start()
        stack.push_async_callback(replica.kill)
        replicas.append(replica)
    return replicas


def run(minutes: float, seed: int) -> tuple[Verdict, int]:
    """
    Run the loop on a durable PostgreSQL of its own.
    """
    LOGS.mkdir(parents=True, exist_ok=True)
    with running_postgres(durable=True) as server, fresh_database(server.url) as url:
        return asyncio.run(play(server, url, minutes, seed))


def main(arguments: list[str]) -> int:
    """
    Run the loop from the command line; return the exit code.
    """
    minutes = float(arguments[0]) if arguments else 5.0
    seed = int(arguments[1]) if len(arguments) > 1 else random.randrange(2**32)  # noqa: S311
    print(f"{minutes:g} minutes with seed {seed}", flush=True)
    verdict, kills = run(minutes, seed)
    if not verdict.good:
        print(f"{verdict}\nThe services' logs are in {LOGS}.", file=sys.stderr)
    print(verdict.line(kills))
    return 0 if verdict.good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
