"""
Operating the config service: who may call, and what was done.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from google.protobuf.empty_pb2 import Empty

from config_service.api.request_fields import refused
from config_service.api.subscriptions import Store
from config_service.rules import caller_rules
from config_service.rules.errors import CallerExists, CallerNotFound
from config_service.store import caller_store
from config_service.store.changes import audit, differences, remember, remembered, shown_fields
from config_service.store.schema import audit_entries
from config_service.store.sealed_columns import SEALED_COLUMNS
from service_runtime.database import audit_log
from service_runtime.database.engine import reading, writing
from service_runtime.keys import rotation
from service_runtime.rpc import filters, names
from service_runtime.rpc.callers import current_caller
from service_runtime.rpc.paging import PageTokens, fitting, page_size
from service_runtime.rpc.request_ids import check_request_id
from shipedge.webhooks.config.v1 import admin_service_pb2 as pb
from shipedge.webhooks.config.v1 import admin_service_pb2_grpc
from shipedge.webhooks.config.v1.caller_pb2 import Caller

if TYPE_CHECKING:
    import grpc
    from sqlalchemy.ext.asyncio import AsyncConnection

    Context = grpc.aio.ServicerContext[Any, Any]

NOBODY = ""
"""
The owner of what belongs to no account and no warehouse.
"""


class AdminServicer(admin_service_pb2_grpc.AdminServiceServicer):
    """
    Serves `AdminService`.
    """

    def __init__(self, store: Store, tokens: PageTokens) -> None:
        self._store = store
        self._tokens = tokens

    async def CreateCaller(self, request: pb.CreateCallerRequest, context: Context) -> Caller:
        """
        Create a caller; only this answer shows its token.
        """
        if not names.is_chosen_id(request.caller_id):
            raise refused("caller_id", names.ID_RULE)
        check_request_id(request.request_id)
        caller_rules.check(request.caller)
        name, method = names.caller(request.caller_id), "CreateCaller"
        async with writing(self._store.engine) as db:
            made = await remembered(db, NOBODY, request.request_id, method, request)
            if made is not None:
                return await _shown(db, made)
            await self._check_free(db, request)
            token = await caller_store.insert(db, request.caller_id, request.caller)
            await remember(db, NOBODY, request.request_id, method, request, name)
            answer = await _shown(db, name)
            await _note(db, name, method, Caller(), answer)
        self._store.changed()
        answer.token = token
        return answer

    async def ListCallers(
        self, request: pb.ListCallersRequest, context: Context
    ) -> pb.ListCallersResponse:
        """
        List the callers.
        """
        async with reading(self._store.engine) as db:
            rows, last = await caller_store.list_rows(
                db,
                size=page_size(request.page_size),
                begin_after=self._tokens.read(request.page_token, request),
            )
        return pb.ListCallersResponse(
            callers=map(caller_store.message_of, rows),
            next_page_token=self._tokens.make(last, request) if last else "",
        )

    async def DeleteCaller(self, request: pb.DeleteCallerRequest, context: Context) -> Empty:
        """
        Delete a caller.
        """
        caller_id = names.parse("caller", request.name).id
        async with writing(self._store.engine) as db:
            before = await _shown(db, request.name)
            await caller_store.delete(db, caller_id)
            await _note(db, request.name, "DeleteCaller", before, Caller())
        self._store.changed()
        return Empty()

    async def ListAuditEntries(
        self, request: pb.ListAuditEntriesRequest, context: Context
    ) -> pb.ListAuditEntriesResponse:
        """
        List what was changed, newest first.
        """
        owners = current_caller.get().owners
        if request.parent:
            owners = frozenset({names.parse_owner(request.parent)})
        async with reading(self._store.engine) as db:
            rows, last = await audit_log.list_rows(
                db,
                audit_entries,
                owners,
                filters.parse(request.filter, audit_log.FILTER_FIELDS),
                size=page_size(request.page_size),
                begin_after=self._tokens.read(request.page_token, request),
            )
        page = fitting([audit_log.message_of(row) for row in rows])
        if len(page) < len(rows):
            last = [audit_log.id_of(rows[len(page) - 1])]
        return pb.ListAuditEntriesResponse(
            audit_entries=page,
            next_page_token=self._tokens.make(last, request) if last else "",
        )

    async def RotateEncryptionKeys(
        self, request: pb.RotateEncryptionKeysRequest, context: Context
    ) -> pb.RotateEncryptionKeysResponse:
        """
        Wrap what is stored under the first key of the ring, some at a time.
        """
        limit = rotation.checked_limit(request.limit)
        ring = self._store.sealing.ring
        async with writing(self._store.engine) as db:
            rotated, remaining = await rotation.rotate(db, ring, SEALED_COLUMNS, limit)
            await _note(db, "keys", "RotateEncryptionKeys", Caller(), Caller())
        return pb.RotateEncryptionKeysResponse(
            rotated_count=rotated, remaining_count=remaining, key_id=ring.first
        )

    async def _check_free(self, db: AsyncConnection, request: pb.CreateCallerRequest) -> None:
        if await caller_store.find(db, request.caller_id) is not None:
            raise CallerExists(names.caller(request.caller_id))
        identity = request.caller.certificate_identity
        if identity and await caller_store.identity_taken(db, identity):
            raise refused("caller.certificate_identity", "must not be that of another caller")


async def _shown(db: AsyncConnection, name: str) -> Caller:
    row = await caller_store.find(db, names.parse("caller", name).id)
    if row is None:
        raise CallerNotFound(name)
    return caller_store.message_of(row)


async def _note(db: AsyncConnection, name: str, method: str, before: Caller, after: Caller) -> None:
    await audit(
        db,
        caller=current_caller.get().name,
        method=method,
        resource=name,
        owner=NOBODY,
        changes=differences(shown_fields(before), shown_fields(after), frozenset()),
    )
