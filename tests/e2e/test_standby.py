"""
The recipes of `docs/backup_and_restore.md` for a point in time and for a standby, with its
commands and settings.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import asyncpg
import pytest

from shipedge.webhooks.config.v1 import config_service_pb2
from tests.e2e.test_backup import all_succeeded, logged_events, requests_of
from tests.e2e.test_pair import shipped
from tests.faults.harness.proxy import Proxy, running_proxy
from tests.faults.harness.publisher import Publisher, stop
from tests.support.databases import run_sql
from tests.support.pair import (
    DISPATCH,
    PATIENCE_SECONDS,
    Pair,
    environment_of,
    eventually,
    running_pair,
)
from tests.support.project_files import ROOT
from tests.support.receivers import Receiver
from tests.support.standby import Cluster, cluster

pytestmark = [pytest.mark.anyio, pytest.mark.heavy, pytest.mark.timeout(300)]

RECIPE = (ROOT / "docs/backup_and_restore.md").read_text()
ARCHIVED, RECOVERED = re.findall(r"```ini\n(.*?)```", RECIPE, re.DOTALL)
BASE_BACKUP, STANDBY = re.findall(r"^(pg_basebackup .*)$", RECIPE, re.MULTILINE)
QUICK = {"SHIPEDGE_DISPATCH_DEADLINE": "2s", "SHIPEDGE_DISPATCH_LEASE": "14s"}


@pytest.fixture
def primary() -> Iterator[Cluster]:
    """
    Yield a server that is still to be started.
    """
    with cluster() as made:
        if not made.has("pg_basebackup"):
            pytest.skip("NOT RUN: pg_basebackup is not installed")
        yield made


def urls_at(port: int) -> Mapping[str, str]:
    """
    Return the settings of both services for databases on a port.
    """
    at = f"postgresql://postgres@127.0.0.1:{port}"
    return {
        "SHIPEDGE_CONFIG_DATABASE_URL": f"{at}/config",
        "SHIPEDGE_DISPATCH_DATABASE_URL": f"{at}/dispatch",
    }


async def make_databases(server: Cluster) -> None:
    """
    Make an empty database for each service.
    """
    for name in ("config", "dispatch"):
        await asyncio.to_thread(run_sql, server.url, f"CREATE DATABASE {name}")


async def value_of(server: Cluster, query: str) -> object:
    """
    Return the one value that a query finds.
    """
    connection = await asyncpg.connect(server.url)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def until(server: Cluster, condition: str) -> None:
    """
    Wait until a condition in SQL holds.
    """
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await value_of(server, f"SELECT {condition}"):
            await asyncio.sleep(0.1)


async def publish(pair: Pair, prefix: str, number: int = 20) -> set[str]:
    """
    Publish events and return their ids.
    """
    ids = [f"event-{prefix}-{at}" for at in range(number)]
    results = await pair.publish(*map(shipped, ids))
    assert all(it.HasField("accepted") for it in results)
    return set(ids)


async def moment_before_a_mistake(pair: Pair, server: Cluster, receiver: Receiver) -> str:
    """
    Deliver events, then delete the subscription that they are for. Return the moment before that.
    """
    made = await pair.subscribe(receiver.url, "orders/shipped", "v2")
    await publish(pair, "before")
    await all_succeeded(pair)
    await publish(pair, "later")
    await all_succeeded(pair)
    moment = str(await value_of(server, "SELECT clock_timestamp()"))
    await asyncio.sleep(0.1)
    await pair.config.DeleteSubscription(
        config_service_pb2.DeleteSubscriptionRequest(name=made.name)
    )
    await publish(pair, "after")
    return moment


async def test_back_to_a_moment(primary: Cluster, tmp_path: Path, receiver: Receiver) -> None:
    """
    Both databases come to the moment before a subscription was deleted by mistake: it is there
    again, what was confirmed before is not sent again, and what was published since is accepted.
    """
    archive = primary.folder / "archive"
    primary.configure(ARCHIVED.replace("ARCHIVE", str(archive)))
    await asyncio.to_thread(primary.start)
    archive.mkdir()
    archive.chmod(0o777)
    await make_databases(primary)
    environment = environment_of(tmp_path, receiver, **QUICK)
    with cluster(primary) as restored:
        async with running_pair({**environment, **urls_at(primary.port)}) as pair:
            await asyncio.to_thread(restored.copy_from, primary, BASE_BACKUP)
            moment = await moment_before_a_mistake(pair, primary, receiver)
        ended = await value_of(primary, "SELECT pg_walfile_name(pg_switch_wal())")
        await until(primary, f"last_archived_wal >= '{ended}' FROM pg_stat_archiver")
        sent = Counter(requests_of(receiver))
        settings = RECOVERED.replace("ARCHIVE", str(archive)).replace("MOMENT", moment)
        restored.configure(f"{settings}archive_mode = off")
        restored.recover()
        await asyncio.to_thread(restored.start)
        await until(restored, "NOT pg_is_in_recovery()")
        async with running_pair({**environment, **urls_at(restored.port)}) as pair:
            confirmed = await logged_events(pair, "state = SUCCEEDED")
            missing = await publish(pair, "after")
            await all_succeeded(pair)
            assert missing <= await logged_events(pair, "state = SUCCEEDED")
    again = {event for event, _ in Counter(requests_of(receiver)) - sent}

    assert {it.split("-")[1] for it in confirmed} == {"before", "later"}
    assert again == missing


async def test_failover(primary: Cluster, tmp_path: Path, receiver: Receiver) -> None:
    """
    The primary dies under traffic and its synchronous standby takes over at the same address:
    the services go on, and each acknowledged event is delivered.
    """
    await asyncio.to_thread(primary.start)
    await make_databases(primary)
    with cluster(primary) as standby:
        await asyncio.to_thread(standby.copy_from, primary, STANDBY)
        await asyncio.to_thread(standby.start)
        await asyncio.to_thread(
            run_sql, primary.url, "ALTER SYSTEM SET synchronous_standby_names = '*'"
        )
        await value_of(primary, "SELECT pg_reload_conf()")
        await until(primary, "count(*) = 1 FROM pg_stat_replication WHERE sync_state = 'sync'")
        async with running_proxy(primary.port) as address:
            environment = environment_of(tmp_path, receiver, **QUICK, **urls_at(address.port))
            async with running_pair(environment) as pair:
                await fail_over(pair, address, primary, standby, receiver, tmp_path)


async def fail_over(
    pair: Pair,
    address: Proxy,
    primary: Cluster,
    standby: Cluster,
    receiver: Receiver,
    folder: Path,
) -> None:
    """
    Kill the primary under traffic, and promote the standby.
    """
    await pair.subscribe(receiver.url, "orders/shipped", "v2")
    with (folder / "ledger").open("w") as ledger:
        publisher = Publisher([pair.address(DISPATCH)], ledger)
        publishing = asyncio.ensure_future(publisher.keep_publishing("event", 100))
        await eventually(lambda: len(publisher.acknowledged) > 20)
        await asyncio.to_thread(primary.stop, "immediate")
        await asyncio.to_thread(standby.promote)
        # The new primary has no standby to wait for.
        await asyncio.to_thread(run_sql, standby.url, "ALTER SYSTEM RESET ALL")
        address.move(standby.port)
        before = len(publisher.acknowledged)
        await eventually(lambda: len(publisher.acknowledged) > before + 20)
        await stop(publishing)
    await all_succeeded(pair)
    arrived = {event for event, _ in requests_of(receiver)}
    assert set(publisher.acknowledged) <= arrived
