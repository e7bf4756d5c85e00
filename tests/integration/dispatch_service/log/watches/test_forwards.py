"""
Copies of requests for developers, on SQLite and on PostgreSQL alike.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine
from standardwebhooks import Webhook

from dispatch_service.api.deliveries import DeliveryServicer
from dispatch_service.domain.transitions import succeed
from dispatch_service.domain.work import NewEvent, Settlement
from dispatch_service.log.audit import audit_log
from dispatch_service.log.watches import watch_poll
from dispatch_service.queue.protocol import Queue
from dispatch_service.routing.index import SubscriptionIndex
from dispatch_service.storage.schema import attempts, bodies
from service_runtime.database.engine import reading, writing
from service_runtime.rpc.callers import Caller, current_caller
from service_runtime.rpc.errors import InvalidArgument
from service_runtime.rpc.paging import PageTokens
from service_runtime.rpc.shielded import finish_shielded
from shipedge.webhooks.dispatch.v1 import delivery_service_pb2 as pb
from tests.support.delivery_process import day_keys, sealed_event
from tests.support.dispatch_factories import LEASE, attempt, claimed_of

pytestmark = pytest.mark.anyio

OWNER = "accounts/100"
Request = pb.ForwardDeliveriesRequest
Response = pb.ForwardDeliveriesResponse


@pytest.fixture
async def methods(
    store: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[DeliveryServicer]:
    """
    Yield the service of one process, which looks at the log without long pauses.
    """
    monkeypatch.setattr(watch_poll, "POLL_SECONDS", 0.01)
    keys = day_keys(store)
    audit = audit_log(keys.ring)
    await audit.begin(store)
    yield servicer(store)
    await finish_shielded()


@pytest.fixture(autouse=True)
def caller() -> Iterator[None]:
    """
    Let an operator of the account call.
    """
    token = current_caller.set(Caller("callers/ann", frozenset({"operator"}), frozenset({OWNER})))
    yield
    current_caller.reset(token)


def servicer(store: AsyncEngine) -> DeliveryServicer:
    """
    Make the service of a process.
    """
    keys = day_keys(store)
    return DeliveryServicer(
        store,
        keys,
        PageTokens(b"k" * 32),
        SubscriptionIndex(),
        audit=audit_log(keys.ring),
        hashed=str.encode,
        became_due=lambda: None,
        job_created=lambda: None,
        clock=lambda: datetime.now(UTC),  # noqa: TID251 - receivers compare with their own
    )


async def delivered(store: AsyncEngine, queue: Queue, count: int = 1) -> list[str]:
    """
    Deliver so many events; return their ids.
    """
    sealer = await day_keys(store).today()
    made = [leased(sealed_event(sealer)) for _ in range(count)]
    await queue.insert(made, LEASE)
    settled = [(it, claimed_of(it)) for it in made]
    await queue.settle(
        [Settlement(claimed, succeed(0), attempt(claimed), 200) for _, claimed in settled]
    )
    return [it.event_id for it in made]


def leased(event: NewEvent) -> NewEvent:
    """
    Let the first attempt of an event's deliveries be under way.
    """
    for delivery in event.deliveries:
        delivery.leased = True
    return event


async def copies(stream: AsyncIterator[Response], count: int) -> list[Response]:
    """
    Return the next copies of a stream.
    """
    found: list[Response] = []
    async with asyncio.timeout(30):
        while len(found) < count:
            answer = await anext(stream)
            found += [answer] * answer.HasField("attempt")
    return found


def headers_of(copy: Response) -> dict[str, str]:
    """
    Return the headers of a copy by their names in lower case.
    """
    return {it.name.lower(): it.value for it in copy.headers}


def event_ids(found: list[Response]) -> list[str]:
    """
    Return the ids of the events that copies are of.
    """
    return [headers_of(it)["x-shipedge-event-id"] for it in found]


async def test_copies_are_signed_with_the_secret_of_the_stream(
    methods: DeliveryServicer, store: AsyncEngine, queue: Queue
) -> None:
    """
    Any library of Standard Webhooks verifies them; the log gets no row, the audit log one entry.
    """
    context: Any = None
    async with aclosing(methods.ForwardDeliveries(Request(parent=OWNER), context)) as stream:
        first = await anext(stream)
        await delivered(store, queue)
        (copy,) = await copies(stream, 1)

    headers = headers_of(copy)
    assert Webhook(first.signing_secret).verify(copy.body, headers) == {}
    assert headers["webhook-id"] == copy.attempt.name.split("/")[3]
    assert headers["x-shipedge-attempt"] == "1"
    assert copy.attempt.response_code == 200
    assert not copy.signing_secret
    async with reading(store) as db:
        assert (await db.execute(sa.select(sa.func.count()).select_from(attempts))).scalar() == 1
        audited = await db.execute(sa.text("SELECT method, resource, caller FROM audit_entries"))
        assert audited.all() == [("ForwardDeliveries", OWNER, "callers/ann")]


async def test_stream_goes_on_at_another_process(
    methods: DeliveryServicer, store: AsyncEngine, queue: Queue
) -> None:
    """
    With the cursor of the last copy and the secret of the first stream nothing is missed, repeated
    or signed otherwise.
    """
    context: Any = None
    request = Request(parent=OWNER)
    async with aclosing(methods.ForwardDeliveries(request, context)) as stream:
        request.signing_secret = (await anext(stream)).signing_secret
        sent = set(await delivered(store, queue, 25))
        seen = await copies(stream, 10)
    request.cursor = seen[-1].cursor

    async with aclosing(servicer(store).ForwardDeliveries(request, context)) as stream:
        assert (await anext(stream)).signing_secret == request.signing_secret
        rest = await copies(stream, 15)

    assert len(set(event_ids(seen + rest))) == 25
    assert set(event_ids(seen + rest)) == sent
    for copy in seen + rest:
        Webhook(request.signing_secret).verify(copy.body, headers_of(copy))


async def test_what_was_erased_is_left_out(
    methods: DeliveryServicer, store: AsyncEngine, queue: Queue
) -> None:
    """
    So is what cannot be opened; the stream goes on behind them.
    """
    context: Any = None
    async with aclosing(methods.ForwardDeliveries(Request(parent=OWNER), context)) as stream:
        await anext(stream)
        erased, broken, whole = await delivered(store, queue, 3)
        of_event = bodies.c.event_id
        async with writing(store) as db:
            await db.execute(sa.delete(bodies).where(of_event == erased))
            damaged = sa.update(bodies).where(of_event == broken)
            await db.execute(damaged.values(sealed_body=b"\0" * 40))
        found = await copies(stream, 1)

    assert event_ids(found) == [whole]


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (Request(parent="accounts/-"), "parent"),
        (Request(parent=OWNER, filter="start_time > 1"), "filter"),
        (Request(parent=OWNER, cursor="x"), "cursor"),
        (Request(parent=OWNER, signing_secret="secret"), "signing_secret"),
        (Request(parent=OWNER, signing_secret="whsec_c2hvcnQ="), "signing_secret"),
    ],
)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_bad_requests_name_the_field(
    methods: DeliveryServicer, request_: Request, field: str
) -> None:
    """
    Nothing is streamed for them, and no error shows a secret.
    """
    context: Any = None
    with pytest.raises(InvalidArgument) as refused:
        await anext(methods.ForwardDeliveries(request_, context))

    assert field in refused.value.metadata["fields"]
    assert "c2hvcnQ" not in str(refused.value)
