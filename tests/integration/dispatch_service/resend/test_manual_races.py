"""
Calls that come twice at once.
"""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from dispatch_service.api.deliveries import DeliveryServicer
from dispatch_service.log.audit import audit_log
from dispatch_service.resend import known_requests
from dispatch_service.routing.index import SubscriptionIndex
from dispatch_service.storage.schema import resend_jobs as jobs_table
from dispatch_service.storage.sealing import DayKeys
from service_runtime.database.engine import writing
from service_runtime.keys.keyring import KeyRing
from service_runtime.rpc.callers import Caller, current_caller
from service_runtime.rpc.paging import PageTokens
from service_runtime.rpc.request_ids import RequestIdReused
from shipedge.webhooks.dispatch.v1 import delivery_service_pb2 as pb
from tests.support.dispatch_factories import NOW
from tests.support.lock_waits import changed, settle_down

pytestmark = pytest.mark.anyio

OWNER = "accounts/100"
ASKED = (OWNER, "request-1", "ResendDelivery")


async def test_same_request_twice_at_once(store: AsyncEngine) -> None:
    """
    The one that comes second waits for the first and is told that it was seen.
    """
    async with writing(store) as db:
        assert not await known_requests.seen(db, *ASKED, "one")
        same = asyncio.create_task(changed(store, known_requests.seen, *ASKED, "one"))
        other = asyncio.create_task(changed(store, known_requests.seen, *ASKED, "other"))
        await settle_down(store, same, other)

    assert await same
    with pytest.raises(RequestIdReused):
        await other


async def test_request_is_new_where_the_first_was_taken_back(store: AsyncEngine) -> None:
    """
    A request that waited for one that failed is the first.
    """
    with pytest.raises(ZeroDivisionError):
        async with writing(store) as db:
            assert not await known_requests.seen(db, *ASKED, "one")
            second = asyncio.create_task(changed(store, known_requests.seen, *ASKED, "one"))
            await settle_down(store, second)
            raise ZeroDivisionError

    assert not await second


async def test_same_job_twice_at_once(store: AsyncEngine) -> None:
    """
    A job that is asked for twice at once is made once, and both are told of it.
    """
    ring = KeyRing({"test": b"k" * 32}, b"h" * 32)
    keys, audit = DayKeys(store, ring, lambda: NOW), audit_log(ring)
    await audit.begin(store)
    methods = DeliveryServicer(
        store,
        keys,
        PageTokens(b"k" * 32),
        SubscriptionIndex(),
        audit=audit,
        hashed=str.encode,
        became_due=lambda: None,
        job_created=lambda: None,
        clock=lambda: NOW,
    )
    current_caller.set(Caller("callers/ann", frozenset(), frozenset({OWNER})))
    request = pb.ResendDeliveriesRequest(parent=OWNER, request_id=str(uuid4()))
    context: Any = None

    async with writing(store) as db:
        if store.dialect.name == "postgresql":
            # Both come as far as the entry of the audit log.
            await db.execute(sa.text("LOCK TABLE audit_entries IN EXCLUSIVE MODE"))
        calls = [asyncio.create_task(methods.ResendDeliveries(request, context)) for _ in range(2)]
        await settle_down(store, *calls)
    first, second = await asyncio.gather(*calls)

    assert first.name == second.name
    async with store.connect() as db:
        assert len((await db.execute(sa.select(jobs_table))).all()) == 1
