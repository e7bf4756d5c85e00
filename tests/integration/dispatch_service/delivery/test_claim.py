"""
Deliveries that are claimed from the table, with their payloads, on SQLite and on PostgreSQL alike.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import cast

import pytest
import sqlalchemy as sa
from msgspec.structs import replace
from sqlalchemy.ext.asyncio import AsyncEngine

from dispatch_service.delivery.claim import Claimer, Places
from dispatch_service.delivery.endpoint_queue import MissingBody, Ready
from dispatch_service.delivery.endpoint_queues import EndpointQueues
from dispatch_service.delivery.endpoints import Endpoints
from dispatch_service.delivery.held_leases import HeldLeases
from dispatch_service.delivery.results import ResultWriter
from dispatch_service.delivery.suspects import Suspects
from dispatch_service.domain.memory_usage import Bounds
from dispatch_service.domain.work import NewEvent
from dispatch_service.queue.protocol import Queue
from dispatch_service.routing.index import SubscriptionIndex
from dispatch_service.storage import associated_data
from dispatch_service.storage.schema import bodies
from dispatch_service.storage.sealing import DayKeys, Sealer
from service_runtime.database.engine import writing
from service_runtime.keys.keyring import KeyRing
from tests.support.dispatch_factories import LEASE, new_delivery, new_event

pytestmark = pytest.mark.anyio


def day_keys(store: AsyncEngine, key_id: str) -> DayKeys:
    """
    Make the keys of a process whose settings have one key, by its id.
    """
    ring = KeyRing({key_id: b"k" * 32}, b"h" * 32)
    return DayKeys(store, ring, lambda: datetime.now(UTC))  # noqa: TID251 - the tests' clock


def sealed_event(sealer: Sealer) -> NewEvent:
    """
    Make an event with a delivery whose payload opens to `{}`.
    """
    event = new_event(new_delivery())
    (body,) = event.bodies
    contract = (body.event_type, body.payload_version)
    associated = associated_data.body(body.owner, event.account, event.event_id, contract)
    return replace(event, bodies=[replace(body, sealed_body=sealer.seal(b"{}", associated))])


async def claimed_body(queue: Queue, keys: DayKeys) -> bytes | MissingBody:
    """
    Claim the one delivery that is due, and return its payload as its attempt gets it.
    """
    (body,) = (await claimed_bodies(queue, keys)).values()
    return body


async def claimed_bodies(queue: Queue, keys: DayKeys) -> dict[str, bytes | MissingBody]:
    """
    Claim what is due; return the payloads by the ids of the deliveries.
    """
    attempted: list[Ready] = []

    async def deliver(ready: Ready) -> bool:
        attempted.append(ready)
        return False

    endpoints, results = Endpoints(8), ResultWriter(queue, SubscriptionIndex(), keys)
    queues = EndpointQueues(deliver, results.release, endpoints, Bounds(10, 10))
    places = Places(queues, cast(Suspects, None), results, HeldLeases())
    await Claimer(queue, places, endpoints, keys, LEASE).run_once()
    async with asyncio.timeout(20):
        while queues.in_memory():
            await asyncio.sleep(0)
    return {ready.claimed.delivery_id: ready.body for ready in attempted}


async def test_payload_is_opened(queue: Queue, store: AsyncEngine) -> None:
    """
    A claimed delivery comes with its payload.
    """
    keys = day_keys(store, "a")
    await queue.insert([sealed_event(await keys.today())], LEASE)

    assert await claimed_body(queue, keys) == b"{}"


async def test_erased_payload_is_gone(queue: Queue, store: AsyncEngine) -> None:
    """
    A payload that was erased or pruned is gone.
    """
    keys = day_keys(store, "a")
    await queue.insert([sealed_event(await keys.today())], LEASE)
    async with writing(store) as db:
        await db.execute(sa.delete(bodies))

    assert await claimed_body(queue, keys) is MissingBody.GONE


async def test_payload_under_an_unknown_key_is_not_read(queue: Queue, store: AsyncEngine) -> None:
    """
    A payload may be sealed under a key that the settings of this process do not have.
    """
    keys = day_keys(store, "a")
    await queue.insert([sealed_event(await keys.today())], LEASE)

    assert await claimed_body(queue, day_keys(store, "b")) is MissingBody.UNREAD


async def test_payload_under_another_key_of_the_same_id_is_not_read(
    queue: Queue, store: AsyncEngine
) -> None:
    """
    A wrong key of this process is no damage of the payload.
    """
    keys = day_keys(store, "a")
    await queue.insert([sealed_event(await keys.today())], LEASE)
    wrong = DayKeys(store, KeyRing({"a": b"w" * 32}, b"h" * 32), lambda: datetime.now(UTC))  # noqa: TID251 - the tests' clock

    assert await claimed_body(queue, wrong) is MissingBody.UNREAD


async def test_payload_whose_day_has_no_key_stops_no_other(
    queue: Queue, store: AsyncEngine
) -> None:
    """
    All that was claimed with it is passed on, with its payload.
    """
    keys = day_keys(store, "a")
    events = [sealed_event(await keys.today()) for _ in range(3)]
    (body,) = events[0].bodies
    unknown_day = replace(body, sealed_body=(1).to_bytes(4, "big") + body.sealed_body[4:])
    events[0] = replace(events[0], bodies=[unknown_day])
    await queue.insert(events, LEASE)

    assert await claimed_bodies(queue, keys) == {
        events[0].deliveries[0].delivery_id: MissingBody.UNREAD,
        events[1].deliveries[0].delivery_id: b"{}",
        events[2].deliveries[0].delivery_id: b"{}",
    }


async def test_damaged_payload_does_not_open(queue: Queue, store: AsyncEngine) -> None:
    """
    A payload that was changed in the database does not open.
    """
    keys = day_keys(store, "a")
    event = sealed_event(await keys.today())
    (body,) = event.bodies
    damaged = replace(body, sealed_body=body.sealed_body[:-1] + b"\0\0")
    await queue.insert([replace(event, bodies=[damaged])], LEASE)

    assert await claimed_body(queue, keys) is MissingBody.SEAL_BROKEN
