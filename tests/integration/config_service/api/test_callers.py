"""
Callers over the wire, on SQLite and on PostgreSQL alike.
"""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from config_service.store import caller_store
from service_runtime.database.engine import reading
from service_runtime.process.failures import FailureLog
from service_runtime.rpc.caller_directory import CallerDirectory
from service_runtime.rpc.callers import Caller
from service_runtime.rpc.status import read_error
from shipedge.webhooks.config.v1 import config_admin_service_pb2 as pb
from shipedge.webhooks.config.v1.caller_pb2 import Caller as CallerMessage
from tests.integration.config_service.conftest import Running
from tests.integration.config_service.store.test_feed import next_change, snapshot, watch

pytestmark = pytest.mark.anyio


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


async def found(running: Running, token: str) -> Caller | None:
    """
    Return whom a token lets in, as the database knows them now.
    """
    async with reading(running.engine) as db:
        entries = await caller_store.entries(db, FailureLog("callers.read_failed"))
    directory = CallerDirectory()
    directory.replace(entries)
    return directory.identify({"authorization": f"Bearer {token}"}, {})


async def identified(running: Running, token: str) -> str:
    """
    Name whom a token lets in.
    """
    caller = await found(running, token)
    return caller.name if caller else ""


async def update(running: Running, *paths: str, **fields: Any) -> CallerMessage:
    """
    Change fields of the caller `script`: those of *paths*, else those that are given.
    """
    given = CallerMessage(**({"name": "callers/script"} | fields))
    request = pb.UpdateCallerRequest(caller=given, update_mask=FieldMask(paths=paths))
    return await running.admin.UpdateCaller(request)


async def last_change(running: Running) -> tuple[str, list[str]]:
    """
    Return the method of the newest audit entry, and the fields that it changed.
    """
    answer = await running.admin.ListAuditEntries(
        pb.ListAuditEntriesRequest(parent="-", page_size=1)
    )
    (entry,) = answer.audit_entries
    return entry.method, [it.field for it in entry.changes]


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
            display_name="x", roles=[CallerMessage.ROLE_READER], owners=["accounts/-"]
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


@pytest.mark.slow
async def test_feed_brings_callers(running: Running) -> None:
    """
    The dispatch service learns of callers, with the hash of the token, and of their end.
    """
    stream = watch(running)
    await snapshot(stream)
    made = await created(running)
    (change,) = (await next_change(stream)).changes
    assert change.caller.caller.name == made.name
    (token,) = change.caller.tokens
    assert (len(token.sha256), token.HasField("expire_time")) == (32, False)
    assert made.token not in str(change)
    await running.admin.DeleteCaller(pb.DeleteCallerRequest(name=made.name))
    (deletion,) = (await next_change(stream)).changes
    assert deletion.deleted_name == made.name


async def test_id_is_made_for_who_chooses_none(running: Running) -> None:
    """
    As for other resources.
    """
    assert (await created(running, "")).name.startswith("callers/caller_")


async def test_get(running: Running) -> None:
    """
    A caller is shown without its token; one that is not there is not found.
    """
    made = await created(running)
    got = await running.admin.GetCaller(pb.GetCallerRequest(name=made.name))
    assert got.token == ""
    made.token = ""
    assert got == made
    gone = await refused(running.admin.GetCaller(pb.GetCallerRequest(name="callers/nobody")))
    assert gone.reason == "CALLER_NOT_FOUND"


async def test_update_changes_what_the_mask_names(running: Running) -> None:
    """
    Roles and owners are judged anew; the name and the token stay.
    """
    made = await created(running, expire_time=datetime.now(UTC) + timedelta(days=1))  # noqa: TID251 - of the future
    changed = await update(running, roles=[CallerMessage.ROLE_OPERATOR], owners=["warehouses/wh1"])
    assert (changed.display_name, changed.token) == ("A script", "")
    assert changed.revision > made.revision
    assert changed.etag != made.etag
    assert changed.update_time.ToDatetime() >= made.update_time.ToDatetime()
    now = await found(running, made.token)
    assert now == Caller("callers/script", frozenset({"operator"}), frozenset({"warehouses/wh1"}))
    assert await last_change(running) == ("UpdateCaller", ["roles", "owners"])

    assert changed.HasField("expire_time")
    assert not (await update(running, "expire_time")).HasField("expire_time")
    ended = await update(running, expire_time=datetime(2026, 1, 1, tzinfo=UTC))
    assert ended.roles == [CallerMessage.ROLE_OPERATOR]
    assert await identified(running, made.token) == ""


async def test_update_is_checked(running: Running) -> None:
    """
    Rules, etags and masks hold as for other resources; checking alone changes nothing.
    """
    made = await created(running)
    await created(running, "other", certificate_identity="oms.internal")
    assert (await refused(update(running, "owners"))).faults[0].field == "caller.owners"
    assert (await refused(update(running, "token", token="x"))).faults[0].field == "update_mask"
    taken = await refused(update(running, certificate_identity="oms.internal"))
    assert taken.faults[0].field == "caller.certificate_identity"
    missing = await refused(update(running, name="callers/nobody", display_name="x"))
    assert missing.reason == "CALLER_NOT_FOUND"
    request = pb.UpdateCallerRequest(
        caller=CallerMessage(name=made.name, display_name="x"), validate_only=True
    )
    assert (await running.admin.UpdateCaller(request)).display_name == "x"

    await update(running, display_name="y", etag=made.etag)
    for stale in (
        update(running, display_name="z", etag=made.etag),
        running.admin.DeleteCaller(pb.DeleteCallerRequest(name=made.name, etag=made.etag)),
    ):
        assert (await refused(stale)).reason == "ETAG_MISMATCH"


@pytest.mark.slow
async def test_changes_at_the_same_time(running: Running) -> None:
    """
    None undoes another, and a name in certificates is still given once.
    """
    await created(running)
    roles = [CallerMessage.ROLE_READER, CallerMessage.ROLE_OPERATOR]
    for number in range(5):
        owner = f"accounts/{number + 1}"
        await asyncio.gather(
            update(running, display_name=f"name {number}"),
            update(running, owners=[owner]),
            update(running, roles=[roles[number % 2]]),
        )
        got = await running.admin.GetCaller(pb.GetCallerRequest(name="callers/script"))
        assert (got.display_name, list(got.owners)) == (f"name {number}", [owner])
        assert got.roles == [roles[number % 2]]

    identity = "oms.internal"
    made = await asyncio.gather(
        *(created(running, f"oms{n}", certificate_identity=identity) for n in range(4)),
        return_exceptions=True,
    )
    errors = [it for it in made if isinstance(it, grpc.aio.AioRpcError)]
    assert {read_error(it).reason for it in errors} == {"FIELD_INVALID"}
    assert len(errors) == len(made) - 1
