"""
The processes of a scenario: PostgreSQL with full durability, a receiver and both services.

A measurement reads CPU time and metrics of all of them before and after a load.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import time
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from dispatch_service.settings import Settings
from dispatch_service.storage.schema import feed_state
from service_runtime.database.engine import create_engine, reading
from service_runtime.process import pair as processes
from service_runtime.settings.reading import read_settings
from tests.bench.cpu import cpu_seconds, memory_mb
from tests.bench.receiver_process import TIMEOUT_SECONDS, Receiver, running_receiver
from tests.support.databases import Postgres, free_port, fresh_database
from tests.support.pair import CONFIG, DISPATCH, Pair, Subscription

SETTLE_SECONDS = 0.5
CONCURRENT_SUBSCRIPTIONS = 16
"""
The number of subscriptions that are created at the same time.
"""

Preparation = Callable[[Mapping[str, str]], Awaitable[None]]
"""
Prepares the databases before the services start; called with their environment.
"""


@dataclass(frozen=True)
class Measurement:
    """
    A load and its cost: CPU seconds by process, and deliveries per second.
    """

    deliveries: int
    per_second: float
    cpu_s: dict[str, float]
    published: dict[str, Any]
    received: dict[str, Any]
    round_trips: float

    def cpu_us(self, process: str) -> float:
        """
        Return the CPU microseconds of a process for one delivery.
        """
        return self.cpu_s[process] / self.deliveries * 1e6


@dataclass
class Deployment:
    """
    All processes of one scenario.
    """

    pair: Pair
    receiver: Receiver
    postgres: Postgres | None
    started_at: float = 0.0

    async def start_dispatch(self, module: str = DISPATCH) -> float:
        """
        Start the dispatch service; return the seconds until it serves.
        """
        self.started_at = time.monotonic()
        await self.pair.start(DISPATCH, module)
        return time.monotonic() - self.started_at

    @property
    def database(self) -> str:
        """
        The URL of the dispatch service's database on PostgreSQL.
        """
        return self.pair.environment["SHIPEDGE_DISPATCH_DATABASE_URL"]

    async def subscribe(
        self,
        accounts: Sequence[int] = (100,),
        path: str = "/ok",
        versions: Sequence[str] = ("v2",),
        **more: Any,
    ) -> list[Subscription]:
        """
        Subscribe accounts to shipped orders; wait until the dispatch service knows all.
        """
        slots = asyncio.Semaphore(CONCURRENT_SUBSCRIPTIONS)

        async def one(account: int, version: str) -> Subscription:
            async with slots:
                return await self.pair.subscribe(
                    *(self.receiver.url(path), "orders/shipped", version),
                    f"accounts/{account}",
                    **more,
                )

        wanted = [(account, version) for account in accounts for version in versions]
        created = await asyncio.gather(*(one(*choice) for choice in wanted))
        await self.wait_applied(max(made.revision for made in created))
        return created

    async def wait_applied(self, revision: int, seconds: float = TIMEOUT_SECONDS) -> float:
        """
        Wait until the dispatch service has applied a revision of the feed.

        Return the seconds since its start.
        """
        url = read_settings(Settings, self.pair.environment).database()
        engine = create_engine(url, application_name="benchmark")
        try:
            async with asyncio.timeout(seconds):
                while await _applied(engine) < revision:
                    await asyncio.sleep(0.05)
        finally:
            await engine.dispose()
        return time.monotonic() - self.started_at

    async def publish(self, **load: Any) -> dict[str, Any]:
        """
        Publish a load from a separate process; return its report.
        """
        source = json.dumps({"address": self.pair.address(DISPATCH), **load})
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.bench.publisher", source, stdout=asyncio.subprocess.PIPE
        )
        try:
            out, _ = await child.communicate()
        finally:
            await processes.stop(child)
        if child.returncode:
            raise RuntimeError("the publisher failed")
        answer: dict[str, Any] = json.loads(out)
        return answer

    async def measure(self, *, fanout: int = 1, path: str = "/ok", **load: Any) -> Measurement:
        """
        Publish a load, wait until all of it is delivered and written, and measure.
        """
        await self.receiver.ask("reset")
        before, trips = self._cpu(await self.receiver.ask()), self.round_trips()
        published = await self.publish(**load)
        deliveries = load["total"] * fanout
        received = await self.receiver.wait(path, deliveries)
        await asyncio.sleep(SETTLE_SECONDS)
        after = self._cpu(await self.receiver.ask())
        seconds = (received["paths"][path]["last_ns"] - published["started_ns"]) / 1e9
        used = {name: after[name] - before[name] for name in after}
        used["publisher"] = published["cpu_s"]
        return Measurement(
            deliveries,
            deliveries / seconds,
            used,
            published,
            received,
            self.round_trips() - trips,
        )

    def _cpu(self, receiver: dict[str, Any]) -> dict[str, float]:
        used = {
            "dispatcher": self.cpu_seconds(),
            "config_service": self.cpu_seconds(CONFIG),
            "receiver": float(receiver["cpu_s"]),
        }
        if self.postgres is not None:
            used["postgres"] = cpu_seconds(self.postgres.pid)
        return used

    def cpu_seconds(self, package: str = DISPATCH) -> float:
        """
        Return the CPU time of the dispatch service, or of another package, since its start.
        """
        return cpu_seconds(self.pair.children[package].pid)

    def memory_mb(self, package: str = DISPATCH) -> float:
        """
        Return the resident memory of the dispatch service, or of another package, in MiB.
        """
        return memory_mb(self.pair.children[package].pid)

    def round_trips(self) -> float:
        """
        Return the number of round trips of the dispatch service to its database.
        """
        return self.metric("webhooks_sql_round_trips_total")

    def metric(self, name: str) -> float:
        """
        Return a metric of the dispatch service, summed over its labels.
        """
        address = self.pair.environment["SHIPEDGE_DISPATCH_METRICS_LISTEN"]
        with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        starts = (f"{name} ", f"{name}{{")
        return sum(float(line.split()[-1]) for line in lines if line.startswith(starts))


@asynccontextmanager
async def running_deployment(
    postgres: Postgres | None,
    before: Preparation | None = None,
    /,
    *,
    module: str = DISPATCH,
    **settings: str,
) -> AsyncIterator[Deployment]:
    """
    Run both services and a receiver on a new database: on *postgres*, or on SQLite if it is None.

    *module* replaces the dispatch service; *before* runs before the services start.
    """
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="webhooks-bench-")))
        receiver = await stack.enter_async_context(running_receiver(directory))
        environment = _environment(directory, receiver)
        if postgres is not None:
            environment["SHIPEDGE_DISPATCH_DATABASE_URL"] = await _database(postgres, stack)
        config = environment["SHIPEDGE_CONFIG_LISTEN"]
        pair = Pair({"SHIPEDGE_DISPATCH_CONFIG_ADDRESS": config, **environment, **settings})
        stack.push_async_callback(_stop, pair)
        if before is not None:
            await before(pair.environment)
        await pair.start(CONFIG)
        deployment = Deployment(pair, receiver, postgres)
        await deployment.start_dispatch(module)
        yield deployment


async def _applied(engine: AsyncEngine) -> int:
    async with reading(engine) as db:
        found = await db.execute(sa.select(feed_state.c.revision))
        return int(found.scalar_one_or_none() or 0)


async def _database(postgres: Postgres, stack: AsyncExitStack) -> str:
    # In a thread, because `fresh_database` runs an event loop of its own.
    database = fresh_database(postgres.url)
    url = await asyncio.to_thread(database.__enter__)
    stack.push_async_callback(asyncio.to_thread, database.__exit__, None, None, None)
    return url


def _environment(directory: Path, receiver: Receiver) -> dict[str, str]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("SHIPEDGE_")}
    return {
        **inherited,
        "SHIPEDGE_ENVIRONMENT": "development",
        "SHIPEDGE_DATA_DIR": str(directory / "data"),
        "SHIPEDGE_LOG_LEVEL": "error",
        "SHIPEDGE_CONFIG_LISTEN": f"127.0.0.1:{free_port()}",
        "SHIPEDGE_DISPATCH_LISTEN": f"127.0.0.1:{free_port()}",
        "SHIPEDGE_DISPATCH_METRICS_LISTEN": f"127.0.0.1:{free_port()}",
        "SHIPEDGE_DISPATCH_RECEIVER_CA_FILE": str(receiver.authority),
        "BENCH_RECEIVER_URL": receiver.url(),
    }


async def _stop(pair: Pair) -> None:
    for package in (DISPATCH, CONFIG):
        if package in pair.children:
            await pair.stop(package)
