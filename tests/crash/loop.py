"""
The kill loop: `python -m tests.crash.loop [minutes] [seed]`.

Runs two dispatch replicas on one PostgreSQL, a receiver that fails at times, and publishers that
repeat each call until it is acknowledged. Meanwhile it kills replicas, stops them for longer than
their lease, and crashes the database. At the end it compares all records.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from random import Random, SystemRandom

from tests.crash.ledger import Ledger, Result, compare
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
DRAIN_SECONDS = 120.0
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
    A receiver that refuses a share of the requests.
    """

    def __init__(self, random: Random) -> None:
        super().__init__()
        self._random = random
        self.share = 0.1

    def status(self) -> int:
        """
        Return 500, or rarely 503, for a share of the requests.
        """
        if self._random.random() >= self.share:
            return 200
        return 503 if self._random.random() < 0.1 else 500


@dataclass
class Loop:
    """
    One run of the loop: its processes, and the number of injected faults.
    """

    server: Postgres
    replicas: list[Replica]
    publisher: Publisher
    memory: Flapping
    random: Random
    until: float
    faults: int = 0
    published: int = 0

    @property
    def has_time(self) -> bool:
        """
        Whether time is left.
        """
        return time.monotonic() < self.until

    async def publish(self, number: int) -> None:
        """
        Publish batch after batch as publisher *number*, each until it is acknowledged.
        """
        while self.has_time:
            first = self.published
            self.published += BATCH
            events = [shipped(f"{number}-{n}", ACCOUNT) for n in range(first, first + BATCH)]
            await self.publisher.publish(events)
            await asyncio.sleep(PAUSE_SECONDS)

    async def inject_faults(self) -> None:
        """
        Inject one fault after the other until the time is over.
        """
        while self.has_time:
            await asyncio.sleep(self.random.uniform(0.5, 2.5))
            fault = self.random.choices(
                (self.kill_replica, self.stop_replica, self.crash_database), (6, 2, 1)
            )[0]
            self.memory.share = self.random.choice((0.0, 0.1, 0.5))
            await fault(self.random.choice(self.replicas))
            self.faults += 1

    async def kill_replica(self, replica: Replica) -> None:
        """
        Kill a replica at a random moment, and start it again.
        """
        await replica.kill()
        await replica.start()

    async def stop_replica(self, replica: Replica) -> None:
        """
        Stop a process until its leases have ended, then continue it.
        """
        replica.signal(signal.SIGSTOP)
        await asyncio.sleep(min(LEASE_SECONDS * 1.2, max(self.until - time.monotonic(), 1)))
        replica.signal(signal.SIGCONT)

    async def crash_database(self, _replica: Replica) -> None:
        """
        Stop the database as in a crash, and start it again.
        """
        await asyncio.to_thread(self.server.stop, "immediate")
        await asyncio.sleep(self.random.uniform(0, 1))
        await asyncio.to_thread(self.server.start)

    async def run(self) -> None:
        """
        Publish and inject faults until the time is over, then let the receiver confirm everything.
        """
        async with asyncio.TaskGroup() as group:
            for number in range(PUBLISHERS):
                group.create_task(self.publish(number))
            group.create_task(self.inject_faults())
        self.memory.share = 0.0


async def run_loop(server: Postgres, url: str, minutes: float, seed: int) -> tuple[Result, int]:
    """
    Run the loop; return the result and the number of injected faults.
    """
    generator = Random(seed)  # noqa: S311 - a run can be repeated by its seed
    memory = Flapping(generator)
    async with AsyncExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="webhooks-crash-"))
        receiver = await stack.enter_async_context(https_receiver(memory, host="127.0.0.1"))
        replicas = await _started(stack, environment_of(Path(directory), receiver), receiver, url)
        publisher = Publisher([replica.address for replica in replicas])
        until = time.monotonic() + minutes * 60
        loop = Loop(server, replicas, publisher, memory, generator, until)
        await loop.run()
        await all_delivered(url, DRAIN_SECONDS)
        ledger = Ledger(publisher.acknowledged, memory.requests)
        await read_log(url, ledger)
    return compare(ledger), loop.faults


async def _started(
    stack: AsyncExitStack, environment: dict[str, str], receiver: Receiver, url: str
) -> list[Replica]:
    """
    Start the config service with one subscription, and two replicas.
    """
    pair = Pair(environment, preloaded=True)
    await pair.start(CONFIG)
    stack.push_async_callback(pair.stop, CONFIG)
    await pair.subscribe(receiver.url, "orders/shipped", "v2", retry_seconds=RETRY_SECONDS)
    replicas = []
    for number in range(2):
        replica = Replica(
            {
                **environment,
                **SETTINGS,
                "SHIPEDGE_DISPATCH_CONFIG_ADDRESS": pair.address(CONFIG),
                "SHIPEDGE_DISPATCH_DATABASE_URL": url,
                "SHIPEDGE_DISPATCH_LISTEN": f"127.0.0.1:{free_port()}",
            },
            log=LOGS / f"replica{number}.log",
        )
        await replica.start()
        stack.push_async_callback(replica.kill)
        replicas.append(replica)
    return replicas


def run(minutes: float, seed: int) -> tuple[Result, int]:
    """
    Run the loop on a new PostgreSQL with full durability.
    """
    LOGS.mkdir(parents=True, exist_ok=True)
    with running_postgres(durable=True) as server, fresh_database(server.url) as url:
        return asyncio.run(run_loop(server, url, minutes, seed))


def main(arguments: list[str]) -> int:
    """
    Run the loop from the command line; return the exit code.
    """
    minutes = float(arguments[0]) if arguments else 5.0
    seed = int(arguments[1]) if len(arguments) > 1 else SystemRandom().randrange(2**32)
    print(f"{minutes:g} minutes with seed {seed}", flush=True)
    result, faults = run(minutes, seed)
    if not result.good:
        print(f"{result}\nThe services' logs are in {LOGS}.", file=sys.stderr)
    print(result.line(faults))
    return 0 if result.good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
