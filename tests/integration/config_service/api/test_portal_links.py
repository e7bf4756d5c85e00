"""
Portal links, on SQLite and on PostgreSQL alike.
"""

from __future__ import annotations

import time
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from service_runtime.rpc.caller_directory import CallerEntry
from service_runtime.rpc.callers import DEVELOPMENT, Caller
from service_runtime.rpc.status import read_error
from shipedge.webhooks.config.v1 import config_admin_service_pb2 as admin
from shipedge.webhooks.config.v1.caller_pb2 import Caller as CallerMessage
from shipedge.webhooks.config.v1.config_service_pb2 import CreatePortalLinkRequest
from shipedge.webhooks.config.v1.portal_link_pb2 import PortalLink
from tests.integration.config_service.conftest import Running
from tests.integration.config_service.store.test_feed import watch

pytestmark = pytest.mark.anyio

OWNER = "accounts/100"


@pytest.fixture
def oms(running: Running) -> Running:
    """
    Return the service with an operator of account 100 who calls, and who is in its directory.
    """
    who = Caller("callers/oms", frozenset({"operator"}), frozenset({OWNER}))
    running.callers.put(CallerEntry(who, created_us=7))
    running.caller = who
    return running


async def create(running: Running, **fields: Any) -> PortalLink:
    """
    Make a link for a reader of account 100.
    """
    values = {"parent": OWNER, "role": CallerMessage.ROLE_READER, **fields}
    return await running.config.CreatePortalLink(CreatePortalLinkRequest(**values))


async def test_link_lets_a_guest_in_with_the_key_of_the_feed(oms: Running) -> None:
    """
    The dispatch service gets the key with the first answer; the audit log shows who may what until
    when, and no token.
    """
    maker, oms.caller = oms.caller, DEVELOPMENT
    answer = await anext(aiter(watch(oms)))
    oms.callers.use_link_key(answer.link_key)
    oms.caller = maker

    made = await create(oms)

    found = oms.callers.identify({"authorization": f"Bearer {made.token}"}, {})
    assert found is not None
    assert found.roles == {"reader"}
    assert found.owners == {OWNER}
    assert found.guest
    assert made.owner == OWNER
    assert 3_590 <= made.expire_time.seconds - time.time() <= 3_600
    oms.caller = DEVELOPMENT
    listed = await oms.admin.ListAuditEntries(admin.ListAuditEntriesRequest(parent=OWNER))
    (entry,) = listed.audit_entries
    assert (entry.method, entry.caller) == ("CreatePortalLink", "callers/oms")
    assert {it.field for it in entry.changes} == {"role", "expire_time"}
    assert made.token not in str(entry)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"role": CallerMessage.ROLE_ADMIN}, "role"),
        ({"role": CallerMessage.ROLE_PUBLISHER}, "role"),
        ({"role": CallerMessage.ROLE_UNSPECIFIED}, "role"),
        ({"role": 99}, "role"),
        ({"ttl": Duration(seconds=3_601)}, "ttl"),
        ({"ttl": Duration()}, "ttl"),
        ({"ttl": Duration(seconds=-1)}, "ttl"),
    ],
)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_bad_links_name_the_field(oms: Running, fields: dict[str, Any], field: str) -> None:
    """
    No guest may more than who made the link, and none longer than an hour.
    """
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await create(oms, **fields)

    detail = read_error(refused.value)
    assert detail.code == "INVALID_ARGUMENT"
    assert detail.metadata["fields"] == field


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_who_makes_no_links(oms: Running) -> None:
    """
    Guests do not, nobody does for others, and in development there are none.
    """
    reasons = []
    guest = Caller("callers/oms/guests/x", frozenset({"reader"}), frozenset({OWNER}), guest=True)
    other = Caller("callers/oms", frozenset({"admin"}), frozenset({"accounts/1000"}))
    unknown = Caller("callers/development", frozenset({"admin"}), frozenset({OWNER}))
    for oms.caller in (guest, other, unknown):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await create(oms)
        reasons.append(read_error(refused.value).reason)

    assert reasons == ["CALLER_FORBIDDEN", "CALLER_FORBIDDEN", "PORTAL_LINKS_NOT_OFFERED"]
