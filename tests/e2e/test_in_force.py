"""
A configuration holds from the moment at which its change was answered.
"""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from tests.e2e.test_pair import bodies_of, shipped
from tests.support.pair import DISPATCH, Pair, Subscription, eventually
from tests.support.receivers import Receiver

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

DELAYS_SECONDS = (0, 0, 0.001, 0.01, 0.05)


async def test_event_reaches_a_webhook_that_was_created_before(
    pair: Pair, receiver: Receiver
) -> None:
    """
    Events that are published as soon as a webhook was answered arrive, once, while others are
    created; once it was answered as Inactive, none does.
    """
    names = []

    async def create(number: int) -> None:
        owner = f"accounts/{100 + number}"
        made = await pair.subscribe(receiver.url, "orders/shipped", "v2", owner)
        names.append(made.name)
        await asyncio.sleep(DELAYS_SECONDS[number % len(DELAYS_SECONDS)])
        await pair.publish(shipped(f"new-{number}", account=100 + number))

    await asyncio.gather(*(create(number) for number in range(20)))
    for number in range(20):
        await eventually(lambda n=number: len(bodies_of(receiver, f"new-{n}")) == 1)  # type: ignore[misc]

    await pair.set_status(names[0], Subscription.STATUS_INACTIVE)
    account = int(names[0].split("/")[1])
    await pair.publish(shipped("late", account=account))
    await pair.set_status(names[0], Subscription.STATUS_ACTIVE)
    await pair.publish(shipped("again", account=account))
    await eventually(lambda: len(bodies_of(receiver, "again")) == 1)

    assert bodies_of(receiver, "late") == []
    assert len(receiver.requests) == 21


async def test_event_reaches_a_webhook_that_a_paused_process_did_not_confirm(
    pair: Pair, receiver: Receiver
) -> None:
    """
    A process that was stopped when a webhook was created matches its events with it later.
    """
    other = await pair.subscribe(receiver.url, "orders/shipped", "v2", "accounts/7")
    await pair.known(other.name)
    child = pair.children[DISPATCH]
    os.kill(child.pid, signal.SIGSTOP)
    try:
        made = await pair.subscribe(receiver.url, "orders/shipped", "v2")
        publishing = [asyncio.create_task(pair.publish(shipped(f"e{n}"))) for n in range(10)]
        await asyncio.sleep(0.1)
    finally:
        os.kill(child.pid, signal.SIGCONT)
    await asyncio.gather(*publishing)

    for number in range(10):
        await eventually(lambda n=number: len(bodies_of(receiver, f"e{n}")) == 1)  # type: ignore[misc]
    assert made.unconfirmed_replicas == 1
