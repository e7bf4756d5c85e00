"""
Listing and keeping what is learnt about endpoints, on SQLite and on PostgreSQL alike.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import grpc
import pytest
import sqlalchemy as sa
from google.protobuf.timestamp_pb2 import Timestamp
from structlog.testing import capture_logs

from config_service import background
from config_service.store.endpoint_events import event_rows
from config_service.store.schema import endpoint_events
from service_runtime.database.engine import reading, writing
from service_runtime.database.instants import after
from service_runtime.rpc.callers import Caller
from service_runtime.rpc.status import read_error
from shipedge.webhooks.config.v1 import config_service_pb2 as pb
from shipedge.webhooks.config.v1.endpoint_event_pb2 import EndpointEvent
from shipedge.webhooks.events.v1.failure_kind_pb2 import FAILURE_KIND_DNS, FAILURE_KIND_TLS
from tests.integration.config_service.conftest import Running
from tests.integration.config_service.store.test_feed import report, reported
from tests.support.config_calls import create, error

pytestmark = pytest.mark.anyio

FAILING, GONE = EndpointEvent.KIND_FAILING, EndpointEvent.KIND_GONE
RECOVERED, SKIPPED = EndpointEvent.KIND_RECOVERED, EndpointEvent.KIND_EVENTS_SKIPPED
READER = Caller("callers/r", frozenset({"reader"}), frozenset({"accounts/100"}))


async def listed(running: Running, parent: str = "accounts/100", **over: Any) -> list[str]:
    """
    List endpoint events, all pages; return their ids.
    """
    request = pb.ListEndpointEventsRequest(parent=parent, **over)
    ids: list[str] = []
    while True:
        answer = await running.config.ListEndpointEvents(request)
        assert len(answer.endpoint_events) <= (request.page_size or 50)
        ids += [it.endpoint_event_id for it in answer.endpoint_events]
        if not answer.next_page_token:
            return ids
        request.page_token = answer.next_page_token


@pytest.fixture
async def observed(running: Running) -> dict[str, str]:
    """
    Store endpoint events `a` to `f`, the last three of one instant; return the subscriptions
    by account, and a second one of account 100 as `other`.
    """
    made = {owner: await create(running, f"accounts/{owner}") for owner in ("100", "200")}
    made["other"] = await create(running, url="https://other.example.com/")
    made["W1"] = await create(
        running, "warehouses/W1", event_type="replenishments/received", payload_version="v3"
    )

    def event(name: str, of: str, kind: Any, seconds: int, **over: Any) -> EndpointEvent:
        at = Timestamp(seconds=1_700_000_000 + seconds)
        values = {"endpoint_event_id": name, "occur_time": at} | over
        return report(made[of], kind, **values)

    await reported(
        running,
        event("b", "100", FAILING, 20, failure_kind=FAILURE_KIND_DNS),
        event("a", "200", FAILING, 10, failure_kind=FAILURE_KIND_TLS),
        event("c", "100", RECOVERED, 30, failure_kind=0),
        event("d", "other", FAILING, 40, failure_kind=FAILURE_KIND_TLS, subscription_revision=0),
        event("e", "W1", GONE, 40),
        event("f", "200", SKIPPED, 40, failure_kind=0),
        event("g", "100", GONE, 40),
    )
    return {owner: it.name for owner, it in made.items()}


async def test_lists_are_newest_first_for_one_or_all(
    running: Running, observed: dict[str, str]
) -> None:
    """
    By the time of the observation, whenever it was reported; pages neither repeat nor omit one.
    """
    assert await listed(running) == list("gdcb")
    assert await listed(running, page_size=1) == list("gdcb")
    assert await listed(running, "accounts/-", page_size=2) == list("gfdcba")
    assert await listed(running, "warehouses/-") == ["e"]
    assert await listed(running, "accounts/10") == []


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ("kind = FAILING", "dba"),
        ("kind = KIND_FAILING AND failure_kind = TLS", "da"),
        ("kind != EVENTS_SKIPPED AND failure_kind != DNS", "gdca"),
        ('occur_time > "2023-11-14T22:13:40Z" AND occur_time < "2023-11-14T22:14:00Z"', "c"),
        ('subscription = "{100}"', "gcb"),
        ('subscription != "{100}" AND kind = failing', "da"),
    ],
)
async def test_filters_choose(
    running: Running, observed: dict[str, str], chosen: str, expected: str
) -> None:
    """
    By kind, failure, time and subscription, over all accounts.
    """
    for owner, name in observed.items():
        chosen = chosen.replace(f"{{{owner}}}", name)
    assert await listed(running, "accounts/-", filter=chosen) == list(expected)


@pytest.mark.parametrize(
    ("over", "reason", "field"),
    [
        ({"filter": "kind = SLOW"}, "FILTER_SYNTAX", "filter"),
        ({"filter": "kind = UNSPECIFIED"}, "FILTER_SYNTAX", "filter"),
        ({"filter": "url = x"}, "FILTER_SYNTAX", "filter"),
        ({"page_token": "x"}, "PAGE_TOKEN_INVALID", "page_token"),
        ({"page_size": -1}, "FIELD_INVALID", "page_size"),
        ({"parent": "accounts/x/y"}, "FIELD_INVALID", "parent"),
    ],
)
async def test_bad_requests_name_the_field(
    running: Running, over: dict[str, Any], reason: str, field: str
) -> None:
    """
    And what is allowed there.
    """
    request = pb.ListEndpointEventsRequest(**({"parent": "accounts/100"} | over))
    refused = await error(running.config.ListEndpointEvents(request))
    assert refused.reason == reason
    assert [fault.field for fault in refused.faults] == [field]


async def test_list_shows_what_was_stale(running: Running, observed: dict[str, str]) -> None:
    """
    With its failure and subscription, so that nobody looks for an effect that it did not have.
    """
    request = pb.ListEndpointEventsRequest(parent="accounts/100", filter="kind = FAILING")
    newest, before = (await running.config.ListEndpointEvents(request)).endpoint_events
    assert (newest.stale, newest.subscription) == (True, observed["other"])
    assert (before.stale, before.failure_kind) == (False, FAILURE_KIND_DNS)


async def test_readers_list_their_own(running: Running, observed: dict[str, str]) -> None:
    """
    All of a kind only those who may access all.
    """
    running.caller = READER
    assert len(await listed(running)) == 4
    for parent in ("accounts/-", "accounts/200", "warehouses/W1"):
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await listed(running, parent)
        assert read_error(raised.value).reason == "CALLER_FORBIDDEN"


async def _aged(running: Running, **ages: timedelta) -> None:
    key = endpoint_events.c.endpoint_event_id
    async with writing(running.engine) as db:
        for name, age in ages.items():
            old = sa.update(endpoint_events).where(key == name)
            await db.execute(old.values(occur_time=after(-age)))


async def test_old_ones_are_deleted(
    running: Running, observed: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    After the retention, in batches; numbers of skipped events after a day.
    """
    monkeypatch.setattr(event_rows, "_AT_ONCE", 1)
    day, keep = timedelta(days=1), timedelta(days=90)
    await _aged(running, a=89 * day, b=91 * day, c=92 * day, d=0 * day, e=day, f=2 * day, g=day)
    loop = background.endpoint_events_loop(running.engine, keep)
    for expected in ([{"event": "endpoint_events.pruned", "log_level": "info", "count": 3}], []):
        with capture_logs() as logs:
            await loop._run_once()
        assert logs == expected
    assert sorted(await listed(running, "accounts/-")) == list("adg")


async def test_rows_of_the_release_before_are_completed(
    running: Running, observed: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    They lack the columns that lists need; also one without a time in its report.
    """
    columns = endpoint_events.c
    lists = (columns.subscription, columns.kind, columns.failure_kind, columns.occur_time)
    query = sa.select(columns.endpoint_event_id, *lists).order_by(columns.endpoint_event_id)
    async with writing(running.engine) as db:
        before = (await db.execute(query)).all()
        untimed = EndpointEvent(endpoint_event_id="z", subscription=observed["200"], kind=GONE)
        await event_rows.insert(db, "accounts/200", untimed)
        emptied = {"subscription": "", "kind": "", "failure_kind": "", "occur_time": None}
        await db.execute(sa.update(endpoint_events).values(emptied))
    assert await listed(running, "accounts/-") == []

    monkeypatch.setattr(event_rows, "_AT_ONCE", 3)
    assert await event_rows.complete(running.engine) == 8
    assert await event_rows.complete(running.engine) == 0
    async with reading(running.engine) as db:
        completed = (await db.execute(query)).all()
    assert completed[:-1] == before
    assert await listed(running, "accounts/-", filter="kind = GONE") == ["z", "g"]
