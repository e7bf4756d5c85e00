"""
Where a fault is brought about: both services, their databases, endpoints and a publisher.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any

from sqlalchemy.engine import make_url

from shipedge.webhooks.client import channel
from tests.crash.ledger import Ledger, Result, compare
from tests.crash.stage import read_log
from tests.faults.harness import rows
from tests.faults.harness.clock import Clock
from tests.faults.harness.endpoints import Endpoint, Journal
from tests.faults.harness.model import POSTGRESQL, Report
from tests.faults.harness.publisher import Publisher
from tests.faults.harness.services import CONFIG, DISPATCH, Service
from tests.support.databases import Postgres, free_port, run_sql, running_postgres
from tests.support.pair import Pair, Subscription
from tests.support.receivers import ca_pem

EVENT_TYPE, VERSION = "orders/shipped", "v2"

SETTINGS = {
    "SHIPEDGE_ENVIRONMENT": "development",
    "SHIPEDGE_LOG_LEVEL": "warning",
    "SHIPEDGE_LOG_FORMAT": "json",
    "SHIPEDGE_DISPATCH_DEADLINE": "4s",
    "SHIPEDGE_DISPATCH_LEASE": "20s",
    "SHIPEDGE_DISPATCH_LEAST_DISK_MB": "0",
    "SHIPEDGE_DISPATCH_ENDPOINT_CONCURRENCY": "4",
    "SHIPEDGE_DISPATCH_MOST_ENDPOINT_CONCURRENCY": "4",
}

_URL_SETTINGS = {
    "SHIPEDGE_ENVIRONMENT": "development",
    CONFIG: "SHIPEDGE_CONFIG_DATABASE_URL",
    DISPATCH: "SHIPEDGE_DISPATCH_DATABASE_URL",
}


@dataclass
class Site:
    """
    One site, on one kind of database. *urls* are those of the services' databases.
    """

    directory: Path
    database: str
    urls: dict[str, str]
    server: Postgres | None
    stack: AsyncExitStack
    journal: Journal
    publisher: Publisher
    fast: bool = False
    clock: Clock | None = None
    report: Report = field(default_factory=Report)
    services: list[Service] = field(default_factory=list)
    calls: Pair = field(default_factory=lambda: Pair({}))

    @property
    def config(self) -> Service:
        """
        Return the config service.
        """
        return next(service for service in self.services if service.package == CONFIG)

    @property
    def replicas(self) -> list[Service]:
        """
        Return the dispatch services.
        """
        return [service for service in self.services if service.package == DISPATCH]

    @property
    def postgres(self) -> Postgres:
        """
        Return the PostgreSQL server of this site.
        """
        assert self.server is not None
        return self.server

    @property
    def dispatch_url(self) -> str:
        """
        Return the URL of the dispatch service's database.
        """
        return self.urls[DISPATCH]

    def service(self, package: str, **settings: str) -> Service:
        """
        Make a service; it is not started.
        """
        name = "config" if package == CONFIG else f"dispatch{len(self.replicas)}"
        listen = "SHIPEDGE_CONFIG_LISTEN" if package == CONFIG else "SHIPEDGE_DISPATCH_LISTEN"
        environment = {
            **_inherited(),
            **SETTINGS,
            "SHIPEDGE_ENVIRONMENT": "development",
            "SHIPEDGE_DATA_DIR": str(self.directory / "data"),
            "SHIPEDGE_DISPATCH_RECEIVER_CA_FILE": str(self.directory / "authority.pem"),
            listen: f"127.0.0.1:{free_port()}",
            _URL_SETTINGS[package]: self.urls[package],
            **(self.clock.environment if self.clock and not self.server else {}),
            **settings,
        }
        if package == DISPATCH:
            environment.setdefault("SHIPEDGE_DISPATCH_CONFIG_ADDRESS", self.config.address)
        made = Service(package, environment, self.directory / f"{name}.log", self.fast)
        self.services.append(made)
        return made

    async def start(
        self, replicas: int = 1, settings: Mapping[str, str] = MappingProxyType({})
    ) -> list[Service]:
        """
        Start the config service and so many replicas, all with *settings*; return the replicas.
        """
        await self.start_config(**settings)
        made = [self.service(DISPATCH, **settings) for _ in range(replicas)]
        # One after the other, because the first makes the tables.
        for replica in made:
            await replica.start()
        self.follow()
        return made

    async def start_config(self, **settings: str) -> Service:
        """
        Start the config service.
        """
        config = self.service(CONFIG, **settings)
        await config.start()
        self.calls.channels[CONFIG] = channel.connect(config.address)
        return config

    def follow(self) -> None:
        """
        Publish to the replicas that there are, and call the first.
        """
        self.publisher.addresses = [replica.address for replica in self.replicas]
        self.calls.channels[DISPATCH] = channel.connect(self.replicas[0].address)

    async def endpoint(self, name: str = "endpoint", seconds: float = 0.0) -> Endpoint:
        """
        Start an endpoint that answers after *seconds*.
        """
        made = Endpoint(name, self.journal, seconds)
        await made.start()
        self.stack.push_async_callback(made.stop)
        return made

    async def subscribe(
        self, endpoint: Endpoint, account: int, *retry_seconds: int, known: bool = True, **more: Any
    ) -> Subscription:
        """
        Subscribe an account to shipped orders; wait until the first replica knows that.
        """
        owner = f"accounts/{account}"
        made = await self.calls.subscribe(
            endpoint.url, EVENT_TYPE, VERSION, owner, retry_seconds=retry_seconds, **more
        )
        if known:
            await self.calls.known(made.name)
        return made

    async def states(self) -> Counter[str]:
        """
        Count the deliveries by state.
        """
        return await rows.states(self.dispatch_url)

    async def ended(self, seconds: float) -> bool:
        """
        Wait until all deliveries have ended; return whether they have.
        """
        return await rows.all_ended(self.dispatch_url, seconds)

    async def compare(self) -> Result:
        """
        Compare ledger, requests and log; report what is lost, and whether the rest is in order.
        """
        requests = [arrival.request() for arrival in self.journal.arrivals]
        ledger = Ledger(set(self.publisher.acknowledged), requests)
        await read_log(self.dispatch_url, ledger)
        result = compare(ledger)
        self.report.lost = len(result.lost)
        beyond, missing = len(result.beyond_bound), len(result.without_row)
        self.report.expect(not beyond, f"{beyond} duplicates beyond the bound")
        self.report.expect(not missing, f"{missing} requests without a row")
        return result

    async def expect_all_confirmed(self, seconds: float) -> Result:
        """
        Wait until all deliveries have ended, and report whether each was confirmed.
        """
        await self.ended(seconds)
        counts = await self.states()
        total = sum(counts.values())
        good = counts["SUCCEEDED"] == total and total > 0
        self.report.expect(
            good, f"{counts['SUCCEEDED']} of {total} delivered ({rows.shown(counts)})"
        )
        return await self.compare()


def _inherited() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("SHIPEDGE_")}


@asynccontextmanager
async def running_site(
    directory: Path,
    database: str,
    *,
    fast: bool = False,
    moves_clock: bool = False,
) -> AsyncIterator[Site]:
    """
    Make a site in an empty *directory*, with a PostgreSQL server of its own if it needs one.

    Whatever runs at the end is killed.
    """
    (directory / "data").mkdir(parents=True)
    (directory / "authority.pem").write_text(ca_pem())
    async with AsyncExitStack() as stack:
        clock = Clock(_clock_file(stack)) if moves_clock else None
        server, urls = await _databases(stack, directory, database, clock)
        journal = Journal(stack.enter_context((directory / "requests.jsonl").open("w")))
        ledger = stack.enter_context((directory / "acknowledged.txt").open("w"))
        site = Site(
            directory, database, urls, server, stack, journal, Publisher((), ledger), fast, clock
        )
        try:
            yield site
        finally:
            await _close(site)


def _clock_file(stack: AsyncExitStack) -> Path:
    # Not below the site's folder, which PostgreSQL's account may not look into.
    folder = Path(stack.enter_context(TemporaryDirectory(prefix="webhooks-clock-")))
    folder.chmod(0o755)
    return folder / "offset"


async def _close(site: Site) -> None:
    for opened in site.calls.channels.values():
        await opened.close()
    # A process that is paused does not end before it goes on.
    await asyncio.gather(*(service.kill() for service in site.services))


async def _databases(
    stack: AsyncExitStack, directory: Path, database: str, clock: Clock | None
) -> tuple[Postgres | None, dict[str, str]]:
    if database != POSTGRESQL:
        files = {CONFIG: "config.db", DISPATCH: "dispatch.db"}
        urls = {name: f"sqlite:///{directory}/data/{file}" for name, file in files.items()}
        return None, urls
    running = running_postgres(durable=True, environment=clock.environment if clock else {})
    server = await asyncio.to_thread(running.__enter__)
    stack.push_async_callback(asyncio.to_thread, running.__exit__, None, None, None)
    names = (CONFIG, DISPATCH)
    return server, {name: await asyncio.to_thread(_new_database, server, name) for name in names}


def _new_database(server: Postgres, name: str) -> str:
    run_sql(server.url, f'CREATE DATABASE "{name}"')
    return make_url(server.url).set(database=name).render_as_string(hide_password=False)
