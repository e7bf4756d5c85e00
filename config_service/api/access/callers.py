"""
The methods of `ConfigAdminService` on callers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from google.protobuf.empty_pb2 import Empty

from config_service.api import request_fields
from config_service.api.request_fields import refused
from config_service.rules import caller_rules
from config_service.rules.errors import (
    CallerExists,
    CallerNotFound,
    CallerUsesCertificate,
    EtagMismatch,
)
from config_service.store import caller_store
from config_service.store.audit import differences, shown_fields
from config_service.store.changes import changing, remember, remembered
from config_service.store.rows import CallerRow
from config_service.store.store import Store
from config_service.store.subscription_rows import etag_of
from service_runtime.audit.entries import AuditChange
from service_runtime.database.engine import reading
from service_runtime.rpc import masks, names
from service_runtime.rpc.paging import PageTokens, page_size
from service_runtime.rpc.request_ids import check_request_id
from shipedge.webhooks.config.v1 import config_admin_service_pb2 as pb
from shipedge.webhooks.config.v1.caller_pb2 import Caller

if TYPE_CHECKING:
    from collections.abc import Sequence

    import grpc
    from sqlalchemy.ext.asyncio import AsyncConnection

    Context = grpc.aio.ServicerContext[Any, Any]

NOBODY = ""
"""
The owner of entries that concern no account and no warehouse.
"""


class CallerMethods:
    """
    Creates, shows, changes and deletes callers.
    """

    _store: Store
    _tokens: PageTokens

    async def CreateCaller(self, request: pb.CreateCallerRequest, context: Context) -> Caller:
        """
        Create a caller. No other answer shows its token.
        """
        caller_id = request_fields.chosen_id(request.caller_id, "caller", "caller_id")
        check_request_id(request.request_id)
        wanted = _configured(request.caller)
        caller_rules.check(wanted)
        name, method = names.caller(caller_id), "CreateCaller"
        use = (request.request_id, method, request)
        async with changing(self._store.engine) as db:
            earlier = await remembered(db, NOBODY, *use)
            if earlier is not None:
                return await _shown(db, earlier)
            if await caller_store.find(db, caller_id) is not None:
                raise CallerExists(name)
            await _check_identity(db, wanted, caller_id)
            if request.validate_only:
                return wanted
            token = await caller_store.insert(db, caller_id, wanted)
            await remember(db, NOBODY, *use, name)
            await self._store.audit.record(db, method, name, _changes(Caller(), wanted))
            answer = await _shown(db, name)
        await self._store.changed()
        answer.token = token
        return answer

    async def GetCaller(self, request: pb.GetCallerRequest, context: Context) -> Caller:
        """
        Return a caller without its token.
        """
        async with reading(self._store.engine) as db:
            return await _shown(db, request.name)

    async def ListCallers(
        self, request: pb.ListCallersRequest, context: Context
    ) -> pb.ListCallersResponse:
        """
        List the callers, oldest first, without their tokens.
        """
        async with reading(self._store.engine) as db:
            page = await caller_store.list_rows(
                db,
                size=page_size(request.page_size),
                begin_after=self._tokens.read(request.page_token, request),
            )
            found = await caller_store.messages(db, page.rows)
        shown, last = page.fit(found)
        return pb.ListCallersResponse(
            callers=shown, next_page_token=self._tokens.make(last, request)
        )

    async def UpdateCaller(self, request: pb.UpdateCallerRequest, context: Context) -> Caller:
        """
        Change the fields that the mask names. Open streams end where the caller may do less.
        """
        given, method = request.caller, "UpdateCaller"
        names.parse("caller", given.name, "caller.name")
        fields = masks.masked_fields(given, request.update_mask)
        async with changing(self._store.engine) as db:
            row = await _found(db, given.name, given.etag)
            (current,) = await caller_store.messages(db, [row])
            before = _configured(current)
            after = masks.merged(before, given, fields)
            caller_rules.check(after)
            await _check_identity(db, after, row.caller_id)
            if request.validate_only:
                return after
            await caller_store.update(db, row, after)
            await self._store.audit.record(db, method, given.name, _changes(before, after))
            answer = await _shown(db, given.name)
        await self._store.changed()
        return answer

    async def RotateCallerToken(
        self, request: pb.RotateCallerTokenRequest, context: Context
    ) -> Caller:
        """
        Create a new token. No other answer shows it.
        """
        names.parse("caller", request.name)
        grace = request_fields.grace_period(
            request.grace_period if request.HasField("grace_period") else None
        )
        check_request_id(request.request_id)
        method = "RotateCallerToken"
        use = (request.request_id, method, request)
        async with changing(self._store.engine) as db:
            if await remembered(db, NOBODY, *use) is not None:
                return await _shown(db, request.name)
            row = await _found(db, request.name)
            if row.certificate_identity:
                raise CallerUsesCertificate(request.name)
            token = await caller_store.rotate_token(db, row, grace)
            await remember(db, NOBODY, *use, request.name)
            changed = [AuditChange("token", secret=True)]
            await self._store.audit.record(db, method, request.name, changed)
            answer = await _shown(db, request.name)
        await self._store.changed()
        answer.token = token
        return answer

    async def DeleteCaller(self, request: pb.DeleteCallerRequest, context: Context) -> Empty:
        """
        Delete a caller; its token or certificate is refused from its next call on.
        """
        async with changing(self._store.engine) as db:
            row = await _found(db, request.name, request.etag)
            (before,) = await caller_store.messages(db, [row])
            await caller_store.delete(db, row.caller_id)
            changes = _changes(_configured(before), Caller())
            await self._store.audit.record(db, "DeleteCaller", request.name, changes)
        await self._store.changed()
        return Empty()


def _configured(caller: Caller) -> Caller:
    """
    Return what callers of the service may set of *caller*, without its etag.
    """
    return masks.merged(Caller(), caller, masks.settable_fields(caller))


async def _check_identity(db: AsyncConnection, wanted: Caller, caller_id: str) -> None:
    identity = wanted.certificate_identity
    if identity and await caller_store.identity_taken(db, identity, caller_id):
        raise refused("caller.certificate_identity", "must not be that of another caller")


async def _shown(db: AsyncConnection, name: str) -> Caller:
    (message,) = await caller_store.messages(db, [await _found(db, name)])
    return message


async def _found(db: AsyncConnection, name: str, etag: str = "") -> CallerRow:
    """
    Return a caller. Raises `CallerNotFound`, and `EtagMismatch` where *etag* is set and is not
    that of the caller.
    """
    row = await caller_store.find(db, names.parse("caller", name).id)
    if row is None:
        raise CallerNotFound(name)
    if etag and etag != etag_of(row.revision):
        raise EtagMismatch(name)
    return row


def _changes(before: Caller, after: Caller) -> Sequence[AuditChange]:
    return differences(shown_fields(before), shown_fields(after))
