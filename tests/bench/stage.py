"""
The benchmark's processes: PostgreSQL with everything durable, a receiver, the pair,
and what is read from them before and after a load.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import urllib.request
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trustme

from shipedge.webhooks.runtime import pair as processes
from tests.bench.cpu import cpu_seconds, memory_mb
from tests.databases import Postgres, free_port, fresh_database
from tests.e2e.pair import CONFIG, DISPATCH, Pair, Subscription

PATIENCE_SECONDS = 60.0
SETTLE_SECONDS = 0.5


@dataclass
class Receiver:
    """
    The receiver's process.
    """

    child: asyncio.subprocess.Process
    port: int

    def url(self, path: str = "/ok") -> str:
        """
        Return the URL of a hook.
        """
        return f"https://127.0.0.1:{self.port}{path}"

    async def ask(self, command: str = "report") -> dict[str, Any]:
        """
        Give it a command; return what it has seen.
        """
        assert self.child.stdin is not None
        assert self.child.stdout is not None
        self.child.stdin.write(f"{command}\n".encode())
        answer: dict[str, Any] = json.loads(await self.child.stdout.readline())
        return answer

    async def wait(self, path: str, requests: int) -> dict[str, Any]:
        """
        Wait until so many requests have come for a path.
        """
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                report = await self.ask()
                if report["paths"].get(path, {}).get("requests", 0) >= requests:
                    return report
                await asyncio.sleep(0.05)


@dataclass(frozen=True)
class Measured:
    """
    A load and what it cost: seconds of CPU by process, deliveries in a second.
    """

    deliveries: int
    per_second: float
    cpu_s: dict[str, float]
    published: dict[str, Any]
    received: dict[str, Any]
    round_trips: float

    def cpu_us(self, process: str) -> float:
        """
        Return the CPU microseconds of a process per delivery.
        """
        return self.cpu_s[process] / self.deliveries * 1e6


@dataclass
class Stage:
    """
    Everything that runs for one scenario.
    """

    pair: Pair
    receiver: Receiver
    postgres: Postgres | None

    async def subscribe(
        self,
        accounts: Sequence[int] = (100,),
        path: str = "/ok",
        versions: Sequence[str] = ("v2",),
        **more: Any,
    ) -> list[Subscription]:
        """
        Subscribe accounts to shipped orders and wait until that counts.
        """
        made = [
            await self.pair.subscribe(
                self.receiver.url(path), "orders/shipped", version, f"accounts/{account}", **more
            )
            for account in accounts
            for version in versions
        ]
        await asyncio.sleep(1.5)
        return made

    async def publish(self, **load: Any) -> dict[str, Any]:
        """
        Publish a load from a process of its own.
        """
        source = json.dumps({"address": self.pair.address(DISPATCH), **load})
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.bench.publisher", source, stdout=asyncio.subprocess.PIPE
        )
        out, _ = await child.communicate()
        if child.returncode:
            raise RuntimeError("the publisher failed")
        answer: dict[str, Any] = json.loads(out)
        return answer

    async def measure(self, *, fanout: int = 1, path: str = "/ok", **load: Any) -> Measured:
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
        seconds = (received["paths"][path]["last_ns"] - published["begun_ns"]) / 1e9
        used = {name: after[name] - before[name] for name in after}
        used["publisher"] = published["cpu_s"]
        return Measured(
            deliveries,
            deliveries / seconds,
            used,
            published,
            received,
            self.round_trips() - trips,
        )

    def _cpu(self, receiver: dict[str, Any]) -> dict[str, float]:
        used = {
            "dispatcher": cpu_seconds(self.pair.children[DISPATCH].pid),
            "receiver": float(receiver["cpu_s"]),
        }
        if self.postgres is not None:
            used["postgres"] = cpu_seconds(self.postgres.pid)
        return used

    def memory_mb(self) -> float:
        """
        Return the dispatcher's resident memory.
        """
        return memory_mb(self.pair.children[DISPATCH].pid)

    def round_trips(self) -> float:
        """
        Return how often the dispatcher has asked its database so far.
        """
        return self.metric("webhooks_sql_round_trips_total")

    def metric(self, name: str) -> float:
        """
        Return a metric of the dispatcher.
        """
        address = self.pair.environment["SHIPEDGE_DISPATCH_METRICS_LISTEN"]
        with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        begins = (f"{name} ", f"{name}{{")
        return sum(float(it.split()[-1]) for it in lines if it.startswith(begins))


@asynccontextmanager
async def running_stage(
    postgres: Postgres | None, *, module: str = DISPATCH, **settings: str
) -> AsyncIterator[Stage]:
    """
    Run the pair with a receiver over a fresh database: *postgres*, or without it SQLite.
    """
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="webhooks-bench-")))
        receiver = await _receiver(directory, stack)
        environment = _environment(directory)
        if postgres is not None:
            environment["SHIPEDGE_DISPATCH_DATABASE_URL"] = await _database(postgres, stack)
        config = environment["SHIPEDGE_CONFIG_LISTEN"]
        pair = Pair({"SHIPEDGE_DISPATCH_CONFIG_ADDRESS": config, **environment, **settings})
        stack.push_async_callback(_stop, pair)
        pair.environment["BENCH_RECEIVER_URL"] = receiver.url()
        await pair.start(CONFIG)
        await pair.start(DISPATCH, module)
        yield Stage(pair, receiver, postgres)


async def _database(postgres: Postgres, stack: AsyncExitStack) -> str:
    # It has an event loop of its own, so it is entered and left in a thread.
    made = fresh_database(postgres.url)
    url = await asyncio.to_thread(made.__enter__)
    stack.push_async_callback(asyncio.to_thread, made.__exit__, None, None, None)
    return url


async def _receiver(directory: Path, stack: AsyncExitStack) -> Receiver:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    file = directory / "receiver.pem"
    certificate.private_key_and_cert_chain_pem.write_to_path(str(file))
    (directory / "authority.pem").write_bytes(authority.cert_pem.bytes())
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.bench.receiver",
        str(file),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    stack.push_async_callback(processes.stop, child)
    assert child.stdout is not None
    return Receiver(child, int(await child.stdout.readline()))


def _environment(directory: Path) -> dict[str, str]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("SHIPEDGE_")}
    return {
        **inherited,
        "SHIPEDGE_DATA_DIR": str(directory / "data"),
        "SHIPEDGE_LOG_LEVEL": "error",
        "SHIPEDGE_CONFIG_LISTEN": f"127.0.0.1:{free_port()}",
        "SHIPEDGE_DISPATCH_LISTEN": f"127.0.0.1:{free_port()}",
        "SHIPEDGE_DISPATCH_METRICS_LISTEN": f"127.0.0.1:{free_port()}",
        "SHIPEDGE_DISPATCH_RECEIVER_CA_FILE": str(directory / "authority.pem"),
    }


async def _stop(pair: Pair) -> None:
    for package in (DISPATCH, CONFIG):
        if package in pair.children:
            await pair.stop(package)
