"""
Watching what is learnt about endpoints, on SQLite and on PostgreSQL alike.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import grpc
import pytest
import sqlalchemy as sa

from config_service.store.endpoint_events import certificates, watching
from config_service.store.schema import client_certificates
from service_runtime.database.engine import writing
from service_runtime.database.instants import after
from service_runtime.rpc.status import read_error
from shipedge.webhooks.config.v1 import config_service_pb2 as pb
from shipedge.webhooks.config.v1.config_admin_service_pb2 import ListAuditEntriesRequest
from shipedge.webhooks.config.v1.endpoint_event_pb2 import EndpointEvent
from tests.integration.config_service.api.test_credentials import certified
from tests.integration.config_service.conftest import Running
from tests.integration.config_service.store.test_feed import report, reported
from tests.support.config_calls import create

pytestmark = pytest.mark.anyio

OWNER = "accounts/100"


async def answer_with_events(stream: Any) -> pb.WatchEndpointEventsResponse:
    """
    Read on to an answer that says something.
    """
    async with asyncio.timeout(30):
        async for answer in stream:
            if answer.endpoint_events:
                found: pb.WatchEndpointEventsResponse = answer
                return found
    raise AssertionError("the stream ended")


async def test_what_is_learnt_is_streamed(running: Running) -> None:
    """
    From now on, and after a break from where it ended.
    """
    made, other = await create(running), await create(running, parent="accounts/200")
    await reported(running, report(made, EndpointEvent.KIND_FAILING))
    stream = running.config.WatchEndpointEvents(pb.WatchEndpointEventsRequest(parent=OWNER))
    first = await anext(aiter(stream))
    assert list(first.endpoint_events) == []

    await reported(running, report(other, EndpointEvent.KIND_GONE))
    await reported(running, report(made, EndpointEvent.KIND_RECOVERED))
    answer = await answer_with_events(stream)
    assert [it.kind for it in answer.endpoint_events] == [EndpointEvent.KIND_RECOVERED]

    again = running.config.WatchEndpointEvents(
        pb.WatchEndpointEventsRequest(parent=OWNER, cursor=first.cursor)
    )
    assert (await answer_with_events(again)).endpoint_events == answer.endpoint_events


async def test_what_sets_it_inactive_is_audited(running: Running) -> None:
    """
    With what was and is; the service did it, and no caller.
    """
    made = await create(running)
    await reported(running, report(made, EndpointEvent.KIND_GONE))
    audit = await running.admin.ListAuditEntries(ListAuditEntriesRequest(parent=OWNER, page_size=1))
    (entry,) = audit.audit_entries
    assert (entry.method, entry.caller) == ("ReportEndpointEvents", "system")
    assert entry.resource == made.name
    assert {it.field: (it.before, it.after) for it in entry.changes} == {
        "status": ('"STATUS_ACTIVE"', '"STATUS_INACTIVE"'),
        "status_reason": ('"STATUS_REASON_MANUAL"', '"STATUS_REASON_GONE"'),
    }


async def test_foreign_cursor_is_refused(running: Running) -> None:
    """
    A cursor is one that an answer gave.
    """
    request = pb.WatchEndpointEventsRequest(parent=OWNER, cursor="yesterday")
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await running.config.WatchEndpointEvents(request).read()
    assert read_error(raised.value).reason == "CURSOR_INVALID"


@pytest.mark.parametrize(("days", "warnings"), [(40, 0), (20, 1), (3, 2)])
async def test_certificates_are_warned_of_once(running: Running, days: int, warnings: int) -> None:
    """
    A month before its end and a week before, once each; only one that is used.
    """
    certificate = await certified(running)
    spare = await certified(running)
    made = await create(running, client_certificate=certificate.name)
    async with writing(running.engine) as db:
        end = after(timedelta(days=days, hours=1))
        await db.execute(sa.update(client_certificates).values(not_after=end))
    for _ in range(2):
        async with writing(running.engine) as db:
            used = await certificates.certificates_in_use(db)
            for each in used.values():
                await certificates.warn_of_certificate(db, each)
    left = {name: certificates.days_left(each) for name, each in used.items()}
    assert left == {certificate.name: days}
    assert spare.name not in left

    async with writing(running.engine) as db:
        events, _ = await watching.after(db, OWNER, 0)
    assert [(it.kind, it.subscription) for it in events] == [
        (EndpointEvent.KIND_CERTIFICATE_EXPIRING, made.name)
    ] * warnings
