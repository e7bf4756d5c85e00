"""
Each value that the queue stores is in the column of its name.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from msgspec.structs import asdict, replace
from sqlalchemy.ext.asyncio import AsyncEngine

from dispatch_service.domain.attempt_record import AttemptRecord
from dispatch_service.domain.outcomes import FailureKind
from dispatch_service.domain.transitions import State, Trigger, retry
from dispatch_service.domain.work import NewBody, NewDelivery, NewEvent, Settlement
from dispatch_service.queue.claimed import delivery_hex
from dispatch_service.queue.protocol import Queue
from dispatch_service.storage.ids import new_id
from dispatch_service.storage.schema import attempts, bodies, deliveries, event_keys, events
from tests.support.dispatch_factories import LEASE, NOW, claimed_of

pytestmark = pytest.mark.anyio

BODY = NewBody(
    owner="accounts/17",
    event_type="an event type",
    payload_version="a version",
    sealed_body=b"a sealed body",
    sha256=b"the hash of a body",
    body_bytes=19,
)

DELIVERY = NewDelivery(
    owner="accounts/17",
    delivery_id=new_id(),
    subscription="a subscription",
    event_type="an event type",
    payload_version="a version",
    endpoint="an endpoint",
    url_shown="a URL",
    url_hash=b"the hash of a URL",
    lifetime=timedelta(days=3),
    leased=True,
    ordered=True,
    trigger=Trigger.RESEND,
    requested_by="a caller",
)

EVENT = NewEvent(
    account=17,
    event_id="an event",
    sha256=b"the hash of an event",
    domain_event="a domain event",
    resource="a resource",
    sequence=23,
    occurred_at=NOW,
    matched=False,
    sealed_payload=b"a sealed payload",
    warehouses=["w1", "w2"],
    order_id=29,
    email_hash=b"the hash of an e-mail",
    order_number_hash=b"the hash of an order number",
    bodies=[BODY],
    deliveries=[DELIVERY],
)

ATTEMPT = AttemptRecord(
    number=1,
    trigger=Trigger.TEST,
    requested_by="another caller",
    status="FAILURE",
    failure_kind="a kind",
    response_code=31,
    error="an error",
    url_shown="another URL",
    url_hash=b"the hash of another URL",
    start_time=NOW + timedelta(seconds=37),
    duration_us=41,
    dns_us=43,
    connect_us=47,
    tls_us=53,
    first_byte_us=59,
    sealed_exchange=b"a sealed exchange",
)


async def only_row(store: AsyncEngine, table: sa.Table) -> dict[str, Any]:
    """
    Read the only row of a table.
    """
    async with store.connect() as db:
        return dict((await db.execute(sa.select(table))).mappings().one())


def differing(row: dict[str, Any], value: object, **renamed: str) -> dict[str, tuple[Any, Any]]:
    """
    Return the columns of a row that have another value than the attribute of their name, or of
    the name in *renamed*.
    """
    pairs = {name: (row[name], getattr(value, renamed.get(name, name), row[name])) for name in row}
    return {name: (got, wanted) for name, (got, wanted) in pairs.items() if got != wanted}


async def test_values_of_an_event_read_back(queue: Queue, store: AsyncEngine) -> None:
    """
    An event, its key, its body and its delivery are stored column by column.
    """
    receipt = (await queue.insert([EVENT], LEASE))[EVENT.key]

    key, event = await only_row(store, event_keys), await only_row(store, events)
    assert differing(key, EVENT) == {}
    assert differing(event, EVENT) == {"warehouses": ('["w1","w2"]', ["w1", "w2"])}
    assert event["match_state"] == "PENDING_MATCH"
    assert differing(await only_row(store, bodies), BODY) == {}
    delivery = await only_row(store, deliveries)
    delivery["delivery_id"] = delivery_hex(delivery["delivery_id"])
    assert differing(delivery, DELIVERY, next_trigger="trigger") == {}
    assert differing(delivery, EVENT) == {}
    times = (key["accept_time"], event["accept_time"], delivery["create_time"])
    assert set(times) == {receipt.accept_time}
    assert delivery["expire_time"] - receipt.accept_time == DELIVERY.lifetime
    assert delivery["due_time"] - receipt.accept_time == LEASE.duration
    assert (delivery["lease_owner"], delivery["sequence_position"]) == (LEASE.owner, 1)


async def test_values_of_an_attempt_read_back(queue: Queue, store: AsyncEngine) -> None:
    """
    A result is stored column by column, with what the log repeats of the delivery.
    """
    await queue.insert([EVENT], LEASE)
    claimed = claimed_of(EVENT)
    transition = retry(61, timedelta(hours=1), FailureKind.TIMEOUT)

    await queue.settle([Settlement(claimed, transition, ATTEMPT, 67)])

    attempt, delivery = await only_row(store, attempts), await only_row(store, deliveries)
    attempt["delivery_id"] = delivery_hex(attempt["delivery_id"])
    assert differing(attempt, ATTEMPT, attempt_trigger="trigger") == {}
    of_delivery = {name for name in attempt if not hasattr(ATTEMPT, name)}
    assert differing({name: attempt[name] for name in of_delivery}, claimed) == {}
    assert attempt["next_attempt_time"] == delivery["due_time"]
    assert delivery["due_time"] - attempt["settle_time"] == transition.delay
    assert differing(delivery, transition) == {}
    assert delivery["response_code"] == 67


async def test_values_of_a_claim_read_back(queue: Queue) -> None:
    """
    A claimed delivery has the values that it was stored with, and those of its lease.
    """
    waiting = replace(DELIVERY, leased=False)
    await queue.insert([replace(EVENT, deliveries=[waiting])], LEASE)

    (claimed,) = await queue.claim(LEASE, limit=1, per_endpoint=1, full=())

    row = asdict(claimed)
    assert differing(row, DELIVERY) == {}
    assert differing(row, EVENT) == {}
    assert (claimed.token, claimed.number, claimed.state) == (1, 1, State.DELIVERING)
    assert (claimed.sealed_body, claimed.in_sequence) == (BODY.sealed_body, True)
    assert (claimed.expired, claimed.cancelled) == (False, False)
