"""
Access and the audit log over the wire, on SQLite and on PostgreSQL alike.
"""

from __future__ import annotations

import re
from typing import Any

import grpc
import pytest
import sqlalchemy as sa

from config_service.store.schema import audit_entries
from service_runtime.database.engine import writing
from service_runtime.rpc.callers import DEVELOPMENT, Caller
from service_runtime.rpc.status import read_error
from shipedge.webhooks.config.v1 import config_admin_service_pb2 as pb
from shipedge.webhooks.config.v1 import config_service_pb2
from shipedge.webhooks.config.v1.audit_entry_pb2 import AuditFault
from shipedge.webhooks.config.v1.subscription_pb2 import Subscription
from tests.integration.config_service.api.test_callers import created, refused
from tests.integration.config_service.conftest import Running
from tests.integration.config_service.store.test_feed import watch
from tests.support.config_calls import create, error

pytestmark = pytest.mark.anyio

READER = Caller("callers/reader", frozenset({"reader"}), frozenset({"accounts/100"}))


@pytest.mark.slow
async def test_reader_sees_no_path_and_changes_nothing(running: Running) -> None:
    """
    Who may only read gets the URL without path and query, and nothing of other accounts.
    """
    made = await create(running)
    running.caller = READER
    got = await running.config.GetSubscription(
        config_service_pb2.GetSubscriptionRequest(name=made.name)
    )
    assert re.fullmatch("https://example.com/…#[0-9a-f]{8}", got.url)
    delete = config_service_pb2.DeleteSubscriptionRequest(name=made.name)
    assert (await refused(running.config.DeleteSubscription(delete))).code == "PERMISSION_DENIED"
    other = config_service_pb2.GetSubscriptionRequest(name="accounts/200/subscriptions/none")
    assert (await refused(running.config.GetSubscription(other))).code == "PERMISSION_DENIED"
    everybody = config_service_pb2.ListSubscriptionsRequest(parent="accounts/-")
    assert (await refused(running.config.ListSubscriptions(everybody))).code == "PERMISSION_DENIED"
    watching = watch(running)
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await watching.read()
    assert read_error(raised.value).reason == "CALLER_FORBIDDEN"


async def audited(running: Running, **request: Any) -> list[tuple[str, str]]:
    """
    Return method and resource of the audit entries.
    """
    answer = await running.admin.ListAuditEntries(
        pb.ListAuditEntriesRequest(**({"parent": "-"} | request))
    )
    return [(it.method, it.resource) for it in answer.audit_entries]


async def test_audit_log_says_who_changed_what(running: Running) -> None:
    """
    Newest first, with what was and is, without secrets; each sees their own.
    """
    made = await create(running)
    await running.config.UpdateSubscription(
        config_service_pb2.UpdateSubscriptionRequest(
            subscription=Subscription(
                name=made.name, description="new", url="https://example.com/?marker"
            )
        )
    )
    await created(running)

    answer = await running.admin.ListAuditEntries(pb.ListAuditEntriesRequest(parent="-"))
    newest, changed, first = answer.audit_entries
    assert (newest.method, newest.owner) == ("CreateCaller", "")
    assert (changed.method, changed.resource) == ("UpdateSubscription", made.name)
    assert changed.caller == DEVELOPMENT.name
    by_field = {it.field: it for it in changed.changes}
    assert by_field["description"].after == '"new"'
    assert not by_field["url"].secret
    for url in (by_field["url"].before, by_field["url"].after):
        assert re.fullmatch('"https://example.com/…#[0-9a-f]{8}"', url)
    assert "marker" not in str(answer)
    assert first.method == "CreateSubscription"

    assert await audited(running, filter='method = "CreateCaller"') == [
        ("CreateCaller", "callers/script")
    ]
    for owners, count in (("accounts/100", 2), ("accounts/-", 2), ("warehouses/-", 0)):
        assert len(await audited(running, parent=owners)) == count
    for wrong in ("", "accounts", "accounts/*"):
        (fault,) = (await error(audited(running, parent=wrong))).faults
        assert (fault.field, "or - for all" in fault.description) == ("parent", True)
    request = pb.ListAuditEntriesRequest(parent="-", page_size=2)
    page = await running.admin.ListAuditEntries(request)
    rest = pb.ListAuditEntriesRequest(parent="-", page_size=2, page_token=page.next_page_token)
    assert [it.name for it in (await running.admin.ListAuditEntries(rest)).audit_entries] == [
        first.name
    ]

    running.caller = Caller("callers/x", frozenset({"admin"}), frozenset({"accounts/100"}))
    assert [method for method, _ in await audited(running)] == [
        "UpdateSubscription",
        "CreateSubscription",
    ]
    running.caller = Caller("callers/x", frozenset({"admin"}), frozenset({"accounts/200"}))
    assert await audited(running) == []


async def test_changed_audit_log_is_found(running: Running) -> None:
    """
    A verification says that all entries fit, from where to go on, and which does not fit.
    """
    for _ in range(3):
        await create(running)
    first = await running.admin.VerifyAuditLog(pb.VerifyAuditLogRequest(limit=2))
    assert (first.verified_count, first.complete, first.last_position) == (2, False, 3)
    rest = pb.VerifyAuditLogRequest(checkpoint=first.checkpoint)
    second = await running.admin.VerifyAuditLog(rest)
    assert (second.verified_count, second.complete, second.HasField("fault")) == (1, True, False)

    async with writing(running.engine) as db:
        third = audit_entries.c.position == 3
        await db.execute(sa.update(audit_entries).where(third).values(caller="callers/nobody"))
    listed = await running.admin.ListAuditEntries(
        pb.ListAuditEntriesRequest(parent="-", page_size=1)
    )
    (newest,) = listed.audit_entries
    for begin in ("", first.checkpoint, "2"):
        verify = pb.VerifyAuditLogRequest(checkpoint=begin)
        found = (await running.admin.VerifyAuditLog(verify)).fault
        assert (found.position, found.kind) == (3, AuditFault.KIND_CHANGED)
        assert (found.audit_entry, newest.position) == (newest.name, 3)


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.VerifyAuditLogRequest(limit=-1), "limit"),
        (pb.VerifyAuditLogRequest(limit=100_001), "limit"),
        (pb.VerifyAuditLogRequest(checkpoint="-1"), "checkpoint"),
        (pb.VerifyAuditLogRequest(checkpoint="1:xyz"), "checkpoint"),
        (pb.VerifyAuditLogRequest(checkpoint="9" * 19), "checkpoint"),
    ],
)
async def test_odd_verifications_are_refused(
    running: Running, request_: pb.VerifyAuditLogRequest, field: str
) -> None:
    """
    The error names the field.
    """
    found = await refused(running.admin.VerifyAuditLog(request_))
    assert (found.code, found.faults[0].field) == ("INVALID_ARGUMENT", field)


async def test_only_admins_of_all_owners_verify(running: Running) -> None:
    """
    The chain has entries of all owners.
    """
    running.caller = Caller("callers/x", frozenset({"admin"}), frozenset({"accounts/100"}))
    found = await refused(running.admin.VerifyAuditLog(pb.VerifyAuditLogRequest()))
    assert found.code == "PERMISSION_DENIED"
