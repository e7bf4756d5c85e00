"""
Operating the dispatch service: what was done by hand, and which keys seal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dispatch_service import manual_actions
from dispatch_service.schema import audit_entries
from dispatch_service.sealed_columns import SEALED_COLUMNS
from shipedge.webhooks.dispatch.v1 import admin_service_pb2 as pb
from shipedge.webhooks.dispatch.v1 import admin_service_pb2_grpc
from shipedge.webhooks.rpc import filters, names
from shipedge.webhooks.rpc.callers import current_caller
from shipedge.webhooks.rpc.page_bytes import fitting
from shipedge.webhooks.rpc.paging import PageTokens, page_size
from shipedge.webhooks.runtime import audit_log, key_rotation
from shipedge.webhooks.runtime.database import reading, writing
from shipedge.webhooks.runtime.keyring import KeyRing

if TYPE_CHECKING:
    import grpc
    from sqlalchemy.ext.asyncio import AsyncEngine

    Context = grpc.aio.ServicerContext[Any, Any]


class AdminServicer(admin_service_pb2_grpc.AdminServiceServicer):
    """
    Serves `AdminService`. Methods that are not here are not in this release.
    """

    def __init__(self, engine: AsyncEngine, ring: KeyRing, tokens: PageTokens) -> None:
        self._engine = engine
        self._ring = ring
        self._tokens = tokens

    async def ListAuditEntries(
        self, request: pb.ListAuditEntriesRequest, context: Context
    ) -> pb.ListAuditEntriesResponse:
        """
        List what was done by hand, newest first.
        """
        owners = current_caller.get().owners
        if request.parent:
            owners = frozenset({names.parse_owner(request.parent)})
        async with reading(self._engine) as db:
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
        Wrap the day keys and the snapshot under the first key of the ring, some at a time.
        """
        limit = key_rotation.checked_limit(request.limit)
        async with writing(self._engine) as db:
            rotated, remaining = await key_rotation.rotate(db, self._ring, SEALED_COLUMNS, limit)
            await manual_actions.note(
                db,
                owner="",
                caller=current_caller.get().name,
                method="RotateEncryptionKeys",
                resource="keys",
            )
        return pb.RotateEncryptionKeysResponse(
            rotated_count=rotated, remaining_count=remaining, key_id=self._ring.first
        )
