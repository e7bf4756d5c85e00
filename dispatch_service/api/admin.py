"""
Erasing customers' data, the audit log and key rotation over the wire.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from dispatch_service.domain.erasure_subjects import email_hash, subject_hash
from dispatch_service.storage.schema import events
from dispatch_service.storage.sealed_columns import SEALED_COLUMNS
from dispatch_service.storage.sealing import KeyedHash
from dispatch_service.upkeep import erasure
from service_runtime.audit.answers import begin_and_limit, listed_owners, verification_message
from service_runtime.audit.entries import FILTER_FIELDS, AuditChange, entry_message
from service_runtime.audit.log import AuditLog
from service_runtime.database.engine import reading, writing
from service_runtime.keys import rotation
from service_runtime.keys.keyring import KeyRing
from service_runtime.rpc import filters, names
from service_runtime.rpc.callers import current_caller
from service_runtime.rpc.errors import FieldFault, InvalidArgument
from service_runtime.rpc.paging import PageTokens, page_size
from service_runtime.rpc.shielded import shielded
from shipedge.webhooks.dispatch.v1 import dispatch_admin_service_pb2 as pb
from shipedge.webhooks.dispatch.v1 import dispatch_admin_service_pb2_grpc

if TYPE_CHECKING:
    import grpc
    from sqlalchemy.ext.asyncio import AsyncEngine

    Context = grpc.aio.ServicerContext[Any, Any]


class AdminServicer(dispatch_admin_service_pb2_grpc.DispatchAdminServiceServicer):
    """
    Serves `DispatchAdminService`. *hashed* is the keyed hash by which events of a customer are
    found.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        ring: KeyRing,
        hashed: KeyedHash,
        tokens: PageTokens,
        audit: AuditLog,
    ) -> None:
        self._engine = engine
        self._ring = ring
        self._hashed = hashed
        self._tokens = tokens
        self._audit = audit

    async def EraseCustomerData(
        self, request: pb.EraseCustomerDataRequest, context: Context
    ) -> pb.EraseCustomerDataResponse:
        """
        Erase payloads, requests and responses of one customer in one account.
        """
        owner = names.parse_owner(request.parent)
        account = names.account_number(owner)
        if not account:
            raise _fault("parent", "must be accounts/{account}")
        condition = self._condition(request)
        subject = self._audited_subject(request)
        await self._record(owner, [subject])
        caller = current_caller.get().name
        found = await erasure.erase_all(self._engine, account, condition, caller)
        answer = pb.EraseCustomerDataResponse(
            erased_event_count=found.events,
            cancelled_delivery_count=found.cancelled,
            succeeded_delivery_count=found.sent,
            in_flight_event_count=found.waiting,
        )
        counts = [AuditChange(it.name, after=str(n)) for it, n in answer.ListFields()]
        await self._record(owner, [subject, *counts])
        return answer

    async def _record(self, owner: str, changes: list[AuditChange]) -> None:
        """
        Record that an erasure has begun, or what it has done: it may take long, and end early.
        """
        async with writing(self._engine) as db:
            await self._audit.record(db, "EraseCustomerData", owner, changes)

    def _audited_subject(self, request: pb.EraseCustomerDataRequest) -> AuditChange:
        kind = request.WhichOneof("subject") or ""
        value = str(getattr(request, kind))
        return AuditChange(kind, after=f'"{subject_hash(self._hashed, kind, value)}"')

    def _condition(self, request: pb.EraseCustomerDataRequest) -> sa.ColumnElement[bool]:
        match request.WhichOneof("subject"):
            case "event_id" if request.event_id:
                return events.c.event_id == request.event_id
            case "order_id" if request.order_id > 0:
                return events.c.order_id == request.order_id
            case "customer_email" if request.customer_email.strip():
                return events.c.email_hash == email_hash(self._hashed, request.customer_email)
            case None:
                raise _fault("subject", "must be event_id, order_id or customer_email")
            case field:
                raise _fault(field, "must not be empty")

    async def ListAuditEntries(
        self, request: pb.ListAuditEntriesRequest, context: Context
    ) -> pb.ListAuditEntriesResponse:
        """
        List manual actions, newest first.
        """
        owners = listed_owners(request.parent, current_caller.get().owners)
        async with reading(self._engine) as db:
            page = await self._audit.list_entries(
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
        found = await shielded(self._audit.verify(self._engine, begin_after, limit))
        return verification_message(pb.VerifyAuditLogResponse, found)

    async def RotateEncryptionKeys(
        self, request: pb.RotateEncryptionKeysRequest, context: Context
    ) -> pb.RotateEncryptionKeysResponse:
        """
        Wrap a batch of day keys and feed resources under the first key of the ring.
        """
        limit = rotation.checked_limit(request.limit)
        async with writing(self._engine) as db:
            rotated, remaining = await rotation.rotate(db, self._ring, SEALED_COLUMNS, limit)
            await self._audit.record(db, "RotateEncryptionKeys", "keys")
        return pb.RotateEncryptionKeysResponse(
            rotated_count=rotated, remaining_count=remaining, key_id=self._ring.first
        )


def _fault(field: str, description: str) -> InvalidArgument:
    return InvalidArgument("The request is not valid.", faults=[FieldFault(field, description)])
