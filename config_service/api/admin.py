"""
Callers, the audit log and key rotation over the wire.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from google.protobuf.empty_pb2 import Empty

from config_service.api.request_fields import refused
from config_service.rules import caller_rules
from config_service.rules.errors import CallerExists, CallerNotFound
from config_service.store import caller_store
from config_service.store.audit import AUDIT_LOG, differences, shown_fields
from config_service.store.changes import remember, remembered
from config_service.store.sealed_columns import SEALED_COLUMNS
from config_service.store.store import Store
from service_runtime.database.audit_log import FILTER_FIELDS, entry_message
from service_runtime.database.engine import reading, writing
from service_runtime.keys import rotation
from service_runtime.rpc import filters, names
from service_runtime.rpc.callers import current_caller
from service_runtime.rpc.paging import PageTokens, page_size
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
The owner of entries that concern no account and no warehouse.
"""


class AdminServicer(admin_service_pb2_grpc.AdminServiceServicer):
    def __init__(self, store: Store, tokens: PageTokens) -> None:
        self._store = store
        self._tokens = tokens

    async def CreateCaller(self, request: pb.CreateCallerRequest, context: Context) -> Caller:
        """
        Create a caller. No other answer shows its token.
        """
        if not names.is_chosen_id(request.caller_id):
            raise refused("caller_id", names.ID_RULE)
        check_request_id(request.request_id)
        caller_rules.check(request.caller)
        name, method = names.caller(request.caller_id), "CreateCaller"
        async with writing(self._store.engine) as db:
            earlier = await remembered(db, NOBODY, request.request_id, method, request)
            if earlier is not None:
                return await _shown(db, earlier)
            await _check_free(db, name, request)
            token = await caller_store.insert(db, request.caller_id, request.caller)
            await remember(db, NOBODY, request.request_id, method, request, name)
            answer = await _shown(db, name)
            await _audit(db, name, method, Caller(), answer)
        await self._store.changed()
        answer.token = token
        return answer

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
        return pb.ListCallersResponse(
            callers=map(caller_store.message_of, page.rows),
            next_page_token=self._tokens.make(page.last, request),
        )

    async def DeleteCaller(self, request: pb.DeleteCallerRequest, context: Context) -> Empty:
        """
        Delete a caller; its token or certificate is refused from its next call on.
        """
        caller_id = names.parse("caller", request.name).id
        async with writing(self._store.engine) as db:
            before = await _shown(db, request.name)
            await caller_store.delete(db, caller_id)
            await _audit(db, request.name, "DeleteCaller", before, Caller())
        await self._store.changed()
        return Empty()

    async def ListAuditEntries(
        self, request: pb.ListAuditEntriesRequest, context: Context
    ) -> pb.ListAuditEntriesResponse:
        """
        List changes of the configuration, newest first.
        """
        owners = current_caller.get().owners
        if request.parent:
            owners = frozenset({names.parse_owner(request.parent)})
        async with reading(self._store.engine) as db:
            page = await AUDIT_LOG.list_entries(
                db,
                owners,
                filters.parse(request.filter, FILTER_FIELDS),
                size=page_size(request.page_size),
                begin_after=self._tokens.read(request.page_token, request),
            )
        shown, last = page.fit([entry_message(row) for row in page.rows])
        return pb.ListAuditEntriesResponse(
            audit_entries=shown, next_page_token=self._tokens.make(last, request)
        )

    async def RotateEncryptionKeys(
        self, request: pb.RotateEncryptionKeysRequest, context: Context
    ) -> pb.RotateEncryptionKeysResponse:
        """
        Wrap a batch of stored values under the first key of the ring.
        """
        limit = rotation.checked_limit(request.limit)
        ring = self._store.sealing.ring
        async with writing(self._store.engine) as db:
            rotated, remaining = await rotation.rotate(db, ring, SEALED_COLUMNS, limit)
            await _audit(db, "keys", "RotateEncryptionKeys", Caller(), Caller())
        return pb.RotateEncryptionKeysResponse(
            rotated_count=rotated, remaining_count=remaining, key_id=ring.first
        )


async def _check_free(db: AsyncConnection, name: str, request: pb.CreateCallerRequest) -> None:
    if await caller_store.find(db, request.caller_id) is not None:
        raise CallerExists(name)
    identity = request.caller.certificate_identity
    if identity and await caller_store.identity_taken(db, identity):
        raise refused("caller.certificate_identity", "must not be that of another caller")


async def _shown(db: AsyncConnection, name: str) -> Caller:
    row = await caller_store.find(db, names.parse("caller", name).id)
    if row is None:
        raise CallerNotFound(name)
    return caller_store.message_of(row)


async def _audit(
    db: AsyncConnection, name: str, method: str, before: Caller, after: Caller
) -> None:
    await AUDIT_LOG.record(
        db,
        owner=NOBODY,
        caller=current_caller.get().name,
        method=method,
        resource=name,
        changes=differences(shown_fields(before), shown_fields(after)),
    )
