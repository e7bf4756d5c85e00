"""
Callers and the audit log over the wire, on SQLite and on PostgreSQL alike.
"""

from __future__ import annotations

import re
import uuid
from typing import Any

import grpc
import pytest

from config_service.store import caller_store
from service_runtime.database.engine import reading
from service_runtime.process.failures import FailureLog
from service_runtime.rpc.caller_directory import CallerDirectory
from service_runtime.rpc.callers import DEVELOPMENT, Caller
from service_runtime.rpc.status import read_error
from shipedge.webhooks.config.v1 import admin_service_pb2 as pb
from shipedge.webhooks.config.v1 import config_service_pb2
from shipedge.webhooks.config.v1.caller_pb2 import Caller as CallerMessage
from shipedge.webhooks.config.v1.subscription_pb2 import Subscription
from tests.integration.config_service.conftest import Running
from tests.integration.config_service.store.test_feed import next_change, snapshot, watch
from tests.support.config_calls import create

pytestmark = pytest.mark.anyio

READER = Caller("callers/reader", frozenset({"reader"}), frozenset({"accounts/100"}))


async def created(running: Running, caller_id: str = "script", **over: Any) -> CallerMessage:
    """
    Create a reader of account 100.
    """
    values: dict[str, Any] = {
        "display_name": "A script",
        "roles": [CallerMessage.ROLE_READER],
        "owners": ["accounts/100"],
    }
    request = pb.CreateCallerRequest(caller_id=caller_id, caller=CallerMessage(**(values | over)))
    return await running.admin.CreateCaller(request)


async def refused(call: Any) -> Any:
    """
    Return the error that a call ends with.
    """
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    return read_error(raised.value)


async def identified(running: Running, token: str) -> str:
    """
    Name whom a token lets in.
    """
    async with reading(running.engine) as db:
        entries = await caller_store.entries(db, FailureLog("callers.read_failed"))
    directory = CallerDirectory()
    directory.replace(entries)
    found = directory.identify({"authorization": f"Bearer {token}"}, {})
    return found.name if found else ""


async def test_token_is_shown_once_and_lets_in(running: Running) -> None:
    """
    Only creating shows the token; deleting ends it.
    """
    made = await created(running)
    assert made.token.startswith("shwt_")
    assert await identified(running, made.token) == "callers/script"
    (listed,) = (await running.admin.ListCallers(pb.ListCallersRequest())).callers
    assert (listed.name, listed.token) == ("callers/script", "")

    await running.admin.DeleteCaller(pb.DeleteCallerRequest(name=made.name))
    assert await identified(running, made.token) == ""
    gone = await refused(running.admin.DeleteCaller(pb.DeleteCallerRequest(name=made.name)))
    assert gone.reason == "CALLER_NOT_FOUND"


async def test_certificate_instead_of_a_token(running: Running) -> None:
    """
    A caller with a certificate gets no token; a name in certificates is given once.
    """
    made = await created(running, certificate_identity="oms.internal")
    assert made.token == ""
    again = await refused(created(running, "other", certificate_identity="oms.internal"))
    assert again.faults[0].field == "caller.certificate_identity"
    taken = await refused(created(running))
    assert taken.reason == "CALLER_EXISTS"


async def test_repeated_creation_shows_no_token(running: Running) -> None:
    """
    A call that is repeated with its request id finds the caller, without the token.
    """
    request = pb.CreateCallerRequest(
        caller_id="script",
        caller=CallerMessage(
            display_name="x", roles=[CallerMessage.ROLE_READER], owners=["accounts/*"]
        ),
        request_id=str(uuid.uuid4()),
    )
    first = await running.admin.CreateCaller(request)
    second = await running.admin.CreateCaller(request)
    assert first.token != ""
    assert (second.name, second.token) == (first.name, "")


@pytest.mark.parametrize(
    ("over", "field"),
    [
        ({"display_name": ""}, "caller.display_name"),
        ({"roles": []}, "caller.roles"),
        ({"roles": [0]}, "caller.roles"),
        ({"roles": [99]}, "caller.roles"),
        ({"owners": []}, "caller.owners"),
        ({"owners": ["accounts/0"]}, "caller.owners[0]"),
        ({"owners": ["accounts/100", "all"]}, "caller.owners[1]"),
        ({"certificate_identity": "two words"}, "caller.certificate_identity"),
    ],
)
async def test_bad_callers(running: Running, over: dict[str, Any], field: str) -> None:
    """
    Each broken rule names its field.
    """
    assert (await refused(created(running, **over))).faults[0].field == field


async def test_feed_brings_callers(running: Running) -> None:
    """
    The dispatch service learns of callers, with the hash of the token, and of their end.
    """
    stream = watch(running)
    await snapshot(stream)
    made = await created(running)
    (change,) = (await next_change(stream)).changes
    assert change.caller.caller.name == made.name
    assert len(change.caller.token_sha256) == 32
    assert made.token not in str(change)
    await running.admin.DeleteCaller(pb.DeleteCallerRequest(name=made.name))
    (deletion,) = (await next_change(stream)).changes
    assert deletion.deleted_name == made.name


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
    answer = await running.admin.ListAuditEntries(pb.ListAuditEntriesRequest(**request))
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

    answer = await running.admin.ListAuditEntries(pb.ListAuditEntriesRequest())
    newest, changed, first = answer.audit_entries
    assert (newest.method, newest.owner) == ("CreateCaller", "")
    assert (changed.method, changed.resource) == ("UpdateSubscription", made.name)
    assert changed.caller == DEVELOPMENT.name
    by_field = {it.field: it for it in changed.changes}
    assert by_field["description"].after == '"new"'
    assert (by_field["url"].secret, by_field["url"].after) == (True, "")
    assert "marker" not in str(answer)
    assert first.method == "CreateSubscription"

    assert await audited(running, filter='method = "CreateCaller"') == [
        ("CreateCaller", "callers/script")
    ]
    assert len(await audited(running, parent="accounts/100")) == 2
    page = await running.admin.ListAuditEntries(pb.ListAuditEntriesRequest(page_size=2))
    rest = pb.ListAuditEntriesRequest(page_size=2, page_token=page.next_page_token)
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
