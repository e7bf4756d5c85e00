"""
One owner's receivers that hang cost the deliveries of others nothing.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.attacks.harness.clock import publish
from tests.attacks.shares import silence
from tests.support.pair import environment_of, eventually, running_pair
from tests.support.receivers import answering, https_receiver

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

SLOTS = 8


async def test_hanging_receivers_hold_up_no_other_owner(tmp_path: Path) -> None:
    """
    While one owner holds all open requests for minutes, the delivery of another goes out.
    """
    async with https_receiver(answering(200), host="127.0.0.1") as good:
        environment = environment_of(
            tmp_path,
            good,
            SHIPEDGE_DISPATCH_TOTAL_CONCURRENCY=str(SLOTS),
            SHIPEDGE_DISPATCH_DEADLINE="120s",
            SHIPEDGE_DISPATCH_LEASE="300s",
        )
        hosts = [f"127.0.1.{number}" for number in range(1, 5)]
        async with running_pair(environment) as pair, silence(hosts, good.port) as most:
            for host in hosts:
                await pair.subscribe(f"https://{host}:{good.port}/", "orders/shipped", "v2")
            await pair.subscribe(good.url, "orders/shipped", "v2", owner="accounts/200")
            for _ in range(4):
                await pair.publish(publish(100).events[0])
            await eventually(lambda: most[0] == SLOTS)

            await pair.publish(publish(200).events[0])

            await eventually(lambda: len(good.requests) == 1)
            assert most[0] == SLOTS
