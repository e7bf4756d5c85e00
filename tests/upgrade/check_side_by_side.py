"""
The recipe of `docs/upgrades.md`, under traffic: the previous release and the next one side by
side, a rollback, and the end of the previous one.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import grpc
import pytest

from shipedge.webhooks.config.v1 import config_service_pb2_grpc
from tests.support.databases import fresh_database
from tests.support.pair import eventually
from tests.support.receivers import Receiver, answering, https_receiver
from tests.upgrade.releases import CONFIG, DISPATCH, Release, releases
from tests.upgrade.site import Site, running_site
from tests.upgrade.traffic import ACCOUNT, Traffic

pytestmark = [pytest.mark.anyio, pytest.mark.heavy]

SETTLED_SECONDS = 120.0
BETWEEN_SECONDS = 2.0
MOST_UNANSWERED = 3


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """
    Yield a receiver that confirms everything.
    """
    async with https_receiver(answering(200), host="127.0.0.1") as running:
        yield running


@pytest.fixture
def settings(tmp_path: Path, receiver: Receiver, postgres_url: str) -> Iterator[dict[str, str]]:
    """
    Yield the settings of all processes, with empty databases.
    """
    authorities = tmp_path / "receivers.pem"
    authorities.write_text(receiver.ca_pem)
    with ExitStack() as stack:
        yield {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "SHIPEDGE_ENVIRONMENT": "development",
            "SHIPEDGE_DATA_DIR": str(tmp_path / "data"),
            "SHIPEDGE_LOG_LEVEL": "warning",
            "SHIPEDGE_LOG_FORMAT": "json",
            "SHIPEDGE_DISPATCH_RECEIVER_CA_FILE": str(authorities),
            "SHIPEDGE_CONFIG_DATABASE_URL": stack.enter_context(fresh_database(postgres_url)),
            "SHIPEDGE_DISPATCH_DATABASE_URL": stack.enter_context(fresh_database(postgres_url)),
        }


@asynccontextmanager
async def traffic_through(site: Site, receiver: Receiver) -> AsyncIterator[Traffic]:
    """
    Publish and configure while the block runs; everything has its answer at the end.
    """
    base = receiver.url.removesuffix("/hook")
    traffic = Traffic(site.address(CONFIG), site.address(DISPATCH), base)
    async with grpc.aio.insecure_channel(traffic.config) as channel:
        await traffic.create(config_service_pb2_grpc.ConfigServiceStub(channel), ACCOUNT, "/hook")
    going_on = [
        asyncio.ensure_future(traffic.publish_on()),
        asyncio.ensure_future(traffic.configure_on()),
    ]
    try:
        yield traffic
    finally:
        for each in going_on:
            each.cancel()
        await asyncio.gather(*going_on)


def arrived(receiver: Receiver) -> Counter[str]:
    """
    Count the requests by the id of their event.
    """
    return Counter(it.headers["x-shipedge-event-id"] for it in receiver.requests)


async def migrate(site: Site, release: Release, package: str, *arguments: str) -> tuple[int, str]:
    """
    Run `migrate` of a release.
    """
    settings = site.settings_of(package)
    return await asyncio.to_thread(release.run, settings, package, "migrate", *arguments)


@pytest.mark.parametrize("order", [(CONFIG, DISPATCH), (DISPATCH, CONFIG)], ids="-".join)
async def test_upgrade_and_rollback(
    order: tuple[str, str], settings: dict[str, str], tmp_path: Path, receiver: Receiver
) -> None:
    """
    With 200 events a second the next release replaces the previous one in either order of the
    services, is rolled back, and comes again for good: each event that was acknowledged arrives,
    once, and what is refused is refused with `UNAVAILABLE` alone and accepted when repeated.
    """
    previous, following = releases(tmp_path)
    log = tmp_path / "services.log"
    async with running_site(settings, log, previous) as site:
        async with traffic_through(site, receiver) as traffic:
            for package in order:
                assert await migrate(site, following, package, "--expand") == (0, "")
            for release in (following, previous, following):
                for package in order:
                    await site.roll(release, package)
                    await asyncio.sleep(BETWEEN_SECONDS)
            for package in order:
                assert await migrate(site, following, package, "--contract") == (0, "")
            await asyncio.sleep(BETWEEN_SECONDS)
        await eventually(lambda: traffic.acknowledged <= set(arrived(receiver)), SETTLED_SECONDS)
        await check_contracted(site, previous, following)

    twice = {event: number for event, number in arrived(receiver).items() if number > 1}
    print(
        f"{previous.name}: {len(traffic.acknowledged)} events, refused {traffic.refused},"
        f" without an answer {traffic.unanswered}"
    )
    assert twice == {}
    # A starved machine may leave a call without an answer; one for each process that ends is not
    # what an upgrade does.
    assert traffic.unanswered <= MOST_UNANSWERED
    assert traffic.wanted <= {it.target for it in receiver.requests}
    assert lines_of_errors(log) == []


async def check_contracted(site: Site, previous: Release, following: Release) -> None:
    """
    After the last step the databases are up to date, and the previous release is refused if it
    needs what is gone.
    """
    for package in (CONFIG, DISPATCH):
        assert await migrate(site, following, package, "--check") == (0, "")
        if following.contracts:
            code, said = await migrate(site, previous, package)
            assert code == 1
            assert "which this version does not know" in said


def lines_of_errors(log: Path) -> list[str]:
    """
    Return the log lines that say that a service has a fault.
    """
    lines = log.read_text().splitlines()
    return [it for it in lines if it.startswith("{") and json.loads(it)["level"] == "error"]
