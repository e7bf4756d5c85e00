"""
Which payload a resend sends: the stored one, or one that is rendered only then.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from dispatch_service.log import read
from dispatch_service.payloads import render
from dispatch_service.queue.protocol import Queue
from dispatch_service.resend import late_bodies, resends
from dispatch_service.storage.schema import deliveries
from service_runtime.database.engine import writing
from service_runtime.database.instants import database_now
from service_runtime.process import failpoints
from tests.support.dispatch_factories import subscription
from tests.support.figures import moved
from tests.support.running_intake import running_intake, shipped

pytestmark = pytest.mark.anyio

FAILED = {
    "state": "FAILED",
    "end_time": database_now(),
    "due_time": None,
    "lease_owner": None,
    "failure_kind": "timeout",
}


@pytest.fixture(autouse=True)
def _disarmed() -> Iterator[None]:
    """
    Disarm the failpoint that a test leaves armed.
    """
    yield
    failpoints.arm("")


async def the_delivery(db: AsyncConnection) -> Any:
    """
    Read the one delivery of the database.
    """
    (found,) = (await db.execute(sa.select(deliveries.c.owner, deliveries.c.delivery_id))).all()
    return await read.get_delivery(db, found.owner, found.delivery_id)


async def test_resend_renders_what_could_not_be_rendered(store: AsyncEngine, queue: Queue) -> None:
    """
    A delivery whose rendering failed gets its payload when it is sent again, once.
    """
    wanted = subscription()
    failpoints.arm("render.fail:raise")
    async with running_intake(store, queue) as intake:
        intake.subscriptions.put(wanted)
        with moved(
            "webhooks_deliveries_ended_total", state="FAILED", failure_kind="render"
        ) as failed:
            await intake.accept(shipped("unrendered"))

    assert failed() == 1
    async with writing(store) as db:
        row = await the_delivery(db)
        assert late_bodies.is_missing(row)
        sealer = await intake.keys.today()
        assert await late_bodies.render(db, intake.keys, sealer, row, wanted)
        # As another resend that has read the row before.
        assert await late_bodies.render(db, intake.keys, sealer, row, wanted)
        row = await the_delivery(db)
        body = await read.read_body(db, intake.keys, row)

    assert body == render(shipped("unrendered"), "orders/shipped", "v2")
    assert row.sha256 == hashlib.sha256(body or b"").digest()


async def test_resend_sends_the_stored_bytes(store: AsyncEngine, queue: Queue) -> None:
    """
    What was rendered at accept is what a resend sends: it needs no renderer.
    """
    async with running_intake(store, queue) as intake:
        intake.subscriptions.put(subscription())
        await intake.accept(shipped("kept"))
    failpoints.arm("render.fail:raise")

    async with writing(store) as db:
        row = await the_delivery(db)
        await db.execute(sa.update(deliveries).values(FAILED))
        await resends.make_due(db, row.owner, [row.delivery_id], "ann", timedelta(days=4))
        sent = await read.read_body(db, intake.keys, row)

    assert hashlib.sha256(sent or b"").digest() == row.sha256
    assert sent == render(shipped("kept"), "orders/shipped", "v2")
