"""
`ConfigAdminService`: callers, the audit log and key rotation over the wire.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from config_service.api.access.callers import CallerMethods
from config_service.store.sealed_columns import SEALED_COLUMNS
from config_service.store.store import Store
from service_runtime.audit.answers import begin_and_limit, listed_owners, verification_message
from service_runtime.audit.entries import FILTER_FIELDS, entry_message
from service_runtime.database.engine import reading, writing
from service_runtime.keys import rotation
from service_runtime.rpc import filters
from service_runtime.rpc.callers import current_caller
from service_runtime.rpc.paging import PageTokens, page_size
from service_runtime.rpc.shielded import shielded
from shipedge.webhooks.config.v1 import config_admin_service_pb2 as pb
from shipedge.webhooks.config.v1 import config_admin_service_pb2_grpc

if TYPE_CHECKING:
    import grpc

    Context = grpc.aio.ServicerContext[Any, Any]


class AdminServicer(CallerMethods, config_admin_service_pb2_grpc.ConfigAdminServiceServicer):
    """
    Serves `ConfigAdminService`.
    """

    def __init__(self, store: Store, tokens: PageTokens) -> None:
        self._store = store
        self._tokens = tokens

    async def ListAuditEntries(
        self, request: pb.ListAuditEntriesRequest, context: Context
    ) -> pb.ListAuditEntriesResponse:
        """
        List changes of the configuration, newest first.
        """
        owners = listed_owners(request.parent, current_caller.get().owners)
        async with reading(self._store.engine) as db:
            page = await self._store.audit.list_entries(
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

    async def VerifyAuditLog(
        self, request: pb.VerifyAuditLogRequest, context: Context
    ) -> pb.VerifyAuditLogResponse:
        """
        Check the chain of the audit log.
        """
        begin_after, limit = begin_and_limit(request)
        found = await shielded(self._store.audit.verify(self._store.engine, begin_after, limit))
        return verification_message(pb.VerifyAuditLogResponse, found)

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
            await self._store.audit.record(db, "RotateEncryptionKeys", "keys")
        return pb.RotateEncryptionKeysResponse(
            rotated_count=rotated, remaining_count=remaining, key_id=ring.first
        )
