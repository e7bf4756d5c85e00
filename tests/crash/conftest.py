"""
One config service, with one receiver, for all scenarios of a test.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.crash.stage import Memory, Replica
from tests.support.databases import free_port
from tests.support.pair import CONFIG, Pair, environment_of
from tests.support.patience import give_time
from tests.support.receivers import Receiver, https_receiver

# Long enough that no attempt times out on a busy machine: the scenarios have one retry.
QUICK = {"SHIPEDGE_DISPATCH_DEADLINE": "4s", "SHIPEDGE_DISPATCH_LEASE": "18s"}


@dataclass
class Stage:
    """
    A config service and a receiver, and the dispatch services that were made.
    """

    directory: Path
    config: Pair
    receiver: Receiver
    memory: Memory
    replicas: list[Replica] = field(default_factory=list)

    def replica(self, database_url: str, **more: str) -> Replica:
        """
        Make a dispatch service over a database of its own; it is not started.
        """
        environment = {
            **self.config.environment,
            **QUICK,
            "SHIPEDGE_DISPATCH_CONFIG_ADDRESS": self.config.address(CONFIG),
            "SHIPEDGE_DISPATCH_DATABASE_URL": database_url,
            "SHIPEDGE_DISPATCH_LISTEN": f"127.0.0.1:{free_port()}",
            "SHIPEDGE_LOG_LEVEL": "error",
            **more,
        }
        self.replicas.append(Replica(environment))
        return self.replicas[-1]


@pytest.fixture(autouse=True)
def _patient_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Let no limit of the store be reached because the machine is busy.
    """
    give_time(monkeypatch)


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """
    Yield the stage; whatever was started on it is killed at the end.
    """
    memory = Memory()
    async with https_receiver(memory, host="127.0.0.1") as receiver:
        pair = Pair(environment_of(tmp_path, receiver), preloaded=True)
        await pair.start(CONFIG)
        made = Stage(tmp_path, pair, receiver, memory)
        try:
            yield made
        finally:
            for replica in made.replicas:
                await replica.kill()
            await pair.stop(CONFIG)
