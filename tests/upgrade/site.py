"""
Processes of two releases on one database of each service, behind a balancer of each service.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from service_runtime.process import pair as processes
from tests.support.databases import free_port
from tests.upgrade.balancer import Balancer, running_balancer
from tests.upgrade.releases import CONFIG, DISPATCH, Release

_LISTEN = {CONFIG: "SHIPEDGE_CONFIG_LISTEN", DISPATCH: "SHIPEDGE_DISPATCH_LISTEN"}
REPLICAS = {CONFIG: 1, DISPATCH: 2}


@dataclass(frozen=True, slots=True)
class Process:
    """
    A running process and where it listens.
    """

    release: Release
    child: asyncio.subprocess.Process
    port: int


@dataclass
class Site:
    """
    What runs, by service; all processes have the same *settings*, and write into *log*.
    """

    settings: Mapping[str, str]
    log: Path
    balancers: dict[str, Balancer]
    running: dict[str, list[Process]] = field(default_factory=lambda: {CONFIG: [], DISPATCH: []})

    def address(self, package: str) -> str:
        """
        Return where the balancer of a service listens.
        """
        return f"127.0.0.1:{self.balancers[package].port}"

    def settings_of(self, package: str, port: int = 0) -> dict[str, str]:
        """
        Return the settings of a process that listens on *port*.
        """
        return {
            **self.settings,
            "SHIPEDGE_DISPATCH_CONFIG_ADDRESS": self.address(CONFIG),
            _LISTEN[package]: f"127.0.0.1:{port}",
        }

    async def start(self, release: Release, package: str) -> None:
        """
        Start one more process; it takes part when it is SERVING.
        """
        port = free_port()
        with self.log.open("ab") as log:
            child = await asyncio.create_subprocess_exec(
                *release.command(package),
                cwd=release.tree,
                env=release.environment(self.settings_of(package, port)),
                start_new_session=True,
                stdout=log,
                stderr=log,
            )
        self.running[package].append(Process(release, child, port))
        await processes.wait_serving(f"127.0.0.1:{port}", child, package)
        self.balancers[package].members.append(port)

    async def stop_oldest(self, package: str) -> None:
        """
        End the process that has run for longest, as a cluster does: the signal and its leave from
        the balancer come at the same time.
        """
        oldest = self.running[package].pop(0)
        self.balancers[package].members.remove(oldest.port)
        assert await processes.stop(oldest.child) == 0

    async def roll(self, release: Release, package: str) -> None:
        """
        Replace the processes of a service one after the other.
        """
        for _ in tuple(self.running[package]):
            await self.start(release, package)
            await self.stop_oldest(package)

    async def stop_all(self) -> None:
        """
        End what runs.
        """
        for package in (DISPATCH, CONFIG):
            for each in self.running[package]:
                await processes.stop(each.child)


@asynccontextmanager
async def running_site(
    settings: Mapping[str, str], log: Path, release: Release
) -> AsyncIterator[Site]:
    """
    Run the services of a release, with two processes of the dispatch service.
    """
    async with AsyncExitStack() as stack:
        balancers = {
            package: await stack.enter_async_context(running_balancer()) for package in REPLICAS
        }
        site = Site(settings, log, balancers)
        try:
            for package, number in REPLICAS.items():
                for _ in range(number):
                    await site.start(release, package)
            yield site
        finally:
            await site.stop_all()
