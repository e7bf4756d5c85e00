"""
The recipe of `docs/backup_and_restore.md`, under traffic: its commands, in its order.
"""

from __future__ import annotations

import asyncio
import re
import shlex
import shutil
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import grpc
import pytest

from shipedge.webhooks.config.v1 import config_service_pb2
from shipedge.webhooks.dispatch.v1 import delivery_service_pb2
from tests.e2e.test_pair import shipped
from tests.support.databases import fresh_database
from tests.support.pair import (
    CONFIG,
    DISPATCH,
    PATIENCE_SECONDS,
    Pair,
    environment_of,
    eventually,
    running_pair,
)
from tests.support.project_files import ROOT
from tests.support.receivers import Receiver

pytestmark = [pytest.mark.anyio, pytest.mark.heavy]

RECIPE = (ROOT / "docs/backup_and_restore.md").read_text()
DATABASES = {CONFIG: "SHIPEDGE_CONFIG_DATABASE_URL", DISPATCH: "SHIPEDGE_DISPATCH_DATABASE_URL"}
BATCH = 5


def commands(program: str) -> list[str]:
    """
    Return the commands of the recipe that run a program, in their order.
    """
    found = re.findall(rf"^ *({program} .*)$", RECIPE, re.MULTILINE)
    assert len(found) == 2
    return found


@dataclass(frozen=True)
class Copied:
    """
    What was confirmed when the first backup began, what was acknowledged in all, and the names
    of the subscriptions that were made between the backups and after them.
    """

    confirmed: set[str]
    acknowledged: list[str]
    between: str
    after: str


@dataclass
class Backups:
    """
    Runs the commands of the recipe in *folder*, on the databases that *urls* names; on SQLite
    these are files in the data directory *data*.
    """

    folder: Path
    data: Path
    urls: dict[str, str] = field(default_factory=dict)

    def _run(self, command: str, where: Path) -> None:
        environment = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            **{name.removeprefix("SHIPEDGE_"): url for name, url in self.urls.items()},
        }
        for name, url in environment.items():
            command = command.replace(f"${name}", url)
        program, *arguments = shlex.split(command)
        found = shutil.which(program)
        if found is None:
            pytest.skip(f"NOT RUN: {program} is not installed")
        subprocess.run([found, *arguments], check=True, cwd=where, env=environment, timeout=60)

    def take(self, package: str) -> None:
        """
        Back up the database of a service.
        """
        mine = {CONFIG: "config", DISPATCH: "dispatch"}[package]
        program = "pg_dump" if self.urls else "sqlite3"
        (command,) = (it for it in commands(program) if f"{mine}." in it)
        if self.urls:
            self._run(command, self.folder)
        else:
            self._run(command.replace("INTO '", f"INTO '{self.folder}/"), self.data)

    def take_keys(self) -> None:
        """
        Copy the keys.
        """
        shutil.copy(self.data / "development.key", self.folder)

    def restore(self, urls: dict[str, str]) -> None:
        """
        Restore both databases, into the empty ones of *urls* or into an empty data directory,
        and the keys.
        """
        shutil.rmtree(self.data)
        self.data.mkdir(mode=0o700)
        shutil.copy(self.folder / "development.key", self.data)
        self.urls = urls
        for command in commands("pg_restore") if urls else ():
            self._run(command, self.folder)
        for name in () if urls else ("config", "dispatch"):
            shutil.copy(self.folder / f"{name}.backup", self.data / f"{name}.db")


class Traffic:
    """
    A publisher that goes on until it is stopped, and remembers what was acknowledged.
    """

    def __init__(self, pair: Pair) -> None:
        self._pair = pair
        self.acknowledged: list[str] = []

    async def run(self) -> None:
        """
        Publish batch after batch.
        """
        for number in count():
            ids = [f"event-{number}-{place}" for place in range(BATCH)]
            results = await self._pair.publish(*map(shipped, ids))
            assert all(it.HasField("accepted") for it in results)
            self.acknowledged += ids
            await asyncio.sleep(0.05)

    async def more(self, number: int = 10 * BATCH) -> None:
        """
        Wait until so many more events are acknowledged.
        """
        wanted = len(self.acknowledged) + number
        await eventually(lambda: len(self.acknowledged) >= wanted)


@asynccontextmanager
async def publishing(pair: Pair) -> AsyncIterator[Traffic]:
    """
    Publish while the block runs.
    """
    traffic = Traffic(pair)
    task = asyncio.create_task(traffic.run())
    try:
        yield traffic
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def requests_of(receiver: Receiver) -> list[tuple[str, str]]:
    """
    Return the event id and the `webhook-id` of each request for the first subscription.
    """
    return [
        (it.headers["x-shipedge-event-id"], it.headers["webhook-id"])
        for it in receiver.requests
        if it.target == "/hook" and it.headers["x-shipedge-event-id"].startswith("event-")
    ]


async def logged_events(pair: Pair, where: str = "") -> set[str]:
    """
    Return the ids of the events of all deliveries in the log, or of those that fit a filter.
    """
    found: set[str] = set()
    request = delivery_service_pb2.ListDeliveriesRequest(
        parent="accounts/100", page_size=1000, filter=where
    )
    while True:
        answer = await pair.deliveries.ListDeliveries(request)
        found |= {it.event.rpartition("/")[2] for it in answer.deliveries}
        if not answer.next_page_token:
            return found
        request.page_token = answer.next_page_token


async def all_succeeded(pair: Pair) -> None:
    """
    Wait until no delivery is unfinished; none may fail.
    """
    async with asyncio.timeout(PATIENCE_SECONDS):
        for state in ("PENDING", "DELIVERING"):
            while await logged_events(pair, f"state = {state}"):
                await asyncio.sleep(0.2)
    assert not await logged_events(pair, "state = FAILED")


@pytest.fixture(params=["sqlite", "postgresql"])
def databases(request: pytest.FixtureRequest) -> Iterator[list[dict[str, str]]]:
    """
    Yield the settings of empty databases for both services, and of others for the restore; for
    SQLite there are none, because the files are in the data directory.
    """
    if request.param == "sqlite":
        yield [{}, {}]
        return
    server = request.getfixturevalue("postgres_url")
    with ExitStack() as stack:
        yield [
            {name: stack.enter_context(fresh_database(server)) for name in DATABASES.values()}
            for _ in range(2)
        ]


async def backed_up(pair: Pair, receiver: Receiver, backups: Backups) -> Copied:
    """
    Take the backups under traffic, with a new subscription between the two and another one
    after them.
    """
    await pair.subscribe(receiver.url, "orders/shipped", "v2")
    async with publishing(pair) as traffic:
        await traffic.more()
        confirmed = set(traffic.acknowledged)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not confirmed <= await logged_events(pair, "state = SUCCEEDED"):
                await asyncio.sleep(0.1)
        await asyncio.to_thread(backups.take, DISPATCH)
        between = await pair.subscribe(f"{receiver.url}/between", "orders/shipped", "v2")
        await traffic.more()
        await asyncio.to_thread(backups.take, CONFIG)
        backups.take_keys()
        after = await pair.subscribe(f"{receiver.url}/after", "orders/shipped", "v2")
        await traffic.more()
    return Copied(confirmed, traffic.acknowledged, between.name, after.name)


async def test_restore_under_traffic(
    databases: list[dict[str, str]], tmp_path: Path, receiver: Receiver
) -> None:
    """
    Databases and keys are backed up under traffic, everything is lost, and the backups are
    restored: what was confirmed before is not sent again, what is not in the backup is accepted
    again, and the configuration between the two backups arrives.
    """
    lost, restored = databases
    backups = Backups(tmp_path / "backups", tmp_path / "data", lost)
    backups.folder.mkdir()
    quick = {"SHIPEDGE_DISPATCH_DEADLINE": "2s", "SHIPEDGE_DISPATCH_LEASE": "14s"}
    environment = environment_of(tmp_path, receiver, **quick, **lost)
    async with running_pair(environment) as pair:
        copied = await backed_up(pair, receiver, backups)
        for package in (DISPATCH, CONFIG):
            await pair.kill(package)

    sent = Counter(requests_of(receiver))
    await asyncio.to_thread(backups.restore, restored)
    async with running_pair({**environment, **restored}) as pair:
        stored = await logged_events(pair)
        await all_succeeded(pair)
        sent_of_backup = Counter(requests_of(receiver)) - sent
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await pair.config.GetSubscription(
                config_service_pb2.GetSubscriptionRequest(name=copied.after)
            )
        await pair.known(copied.between)
        for start in range(0, len(copied.acknowledged), 50):
            await pair.publish(*map(shipped, copied.acknowledged[start : start + 50]))
        await all_succeeded(pair)
        assert set(copied.acknowledged) <= await logged_events(pair, "state = SUCCEEDED")
    again = Counter(requests_of(receiver)) - sent

    assert refused.value.code() is grpc.StatusCode.NOT_FOUND
    assert copied.confirmed <= stored
    gone = set(copied.acknowledged) - stored
    assert gone
    # What the backup has goes out under its `webhook-id`, what it lacks under a new one.
    assert not {event for event, _ in again} & copied.confirmed
    assert {event for event, _ in again} >= gone
    events_sent = {event for event, _ in sent}
    assert {it for it in sent_of_backup if it[0] in events_sent} <= set(sent)
    assert not {message for event, message in again if event in gone} & {it for _, it in sent}
