"""
The audit log: which caller changed what, written in the transaction of the change.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service_runtime.database.instants import database_now
from service_runtime.database.typed_rows import RowReader
from service_runtime.rpc import filters, names
from service_runtime.rpc.callers import EVERY_OWNER
from service_runtime.rpc.filters import Comparison
from service_runtime.rpc.paging import Page, PageKey
from shipedge.webhooks.config.v1.audit_entry_pb2 import AuditEntry

FILTER_FIELDS: Mapping[str, filters.FieldKind] = {
    "create_time": filters.instant(),
    "caller": filters.text(),
    "method": filters.text(),
    "resource": filters.text(),
}


class AuditChange(msgspec.Struct, frozen=True):
    """
    A field that changed. Both values are empty for a secret, of which only the change shows.
    """

    field: str
    before: str = ""
    after: str = ""
    secret: bool = False


class AuditRow(msgspec.Struct, frozen=True, gc=False):
    """
    A stored entry; *changes* is a JSON array of `AuditChange`.
    """

    audit_entry_id: str
    owner: str
    create_time: datetime
    caller: str
    method: str
    resource: str
    changes: str


class AuditLog:
    """
    Writes and reads the entries in *table*. Ids of *new_id* must grow with time.
    """

    def __init__(self, table: sa.Table, new_id: Callable[[], str]) -> None:
        self._table = table
        self._new_id = new_id
        self._rows = RowReader(AuditRow, table)

    async def record(
        self,
        db: AsyncConnection,
        *,
        owner: str,
        caller: str,
        method: str,
        resource: str,
        changes: Iterable[AuditChange] = (),
    ) -> None:
        """
        Write an entry. *owner* is empty for what belongs to no account and no warehouse.
        """
        row = {
            "audit_entry_id": self._new_id(),
            "owner": owner,
            "create_time": database_now(),
            "caller": caller,
            "method": method,
            "resource": resource,
            "changes": msgspec.json.encode(list(changes)).decode(),
        }
        await db.execute(sa.insert(self._table).values(row))

    async def list_entries(
        self,
        db: AsyncConnection,
        owners: Collection[str],
        comparisons: Iterable[Comparison],
        *,
        size: int,
        begin_after: PageKey | None,
    ) -> Page[AuditRow]:
        """
        List the entries of *owners*, newest first.

        `accounts/*` and `warehouses/*` stand for all of a kind; both together include the
        entries that have no owner.
        """
        columns = self._table.c
        # Ids grow with time; a page is bounded by them, so they alone give the order.
        query = self._rows.select().order_by(columns.audit_entry_id.desc()).limit(size + 1)
        if not set(owners) >= EVERY_OWNER:
            query = query.where(_is_of(columns.owner, owners))
        if begin_after is not None:
            query = query.where(columns.audit_entry_id < str(begin_after[0]))
        for comparison in comparisons:
            compare = filters.COMPARE[comparison.operator]
            query = query.where(compare(columns[comparison.field], comparison.value))
        rows = await self._rows.all(db, query)
        return Page(rows, size, lambda row: [row.audit_entry_id.replace("-", "")])


def entry_message(row: AuditRow) -> AuditEntry:
    """
    Convert an entry to the message of the contract.
    """
    message = AuditEntry(
        name=names.audit_entry(row.audit_entry_id),
        caller=row.caller,
        method=row.method,
        resource=row.resource,
        owner=row.owner,
    )
    message.create_time.FromDatetime(row.create_time)
    for change in msgspec.json.decode(row.changes, type=list[AuditChange]):
        message.changes.add(
            field=change.field, before=change.before, after=change.after, secret=change.secret
        )
    return message


def _is_of(column: sa.ColumnElement[str], owners: Collection[str]) -> sa.ColumnElement[bool]:
    kinds = [owner.removesuffix("*") for owner in owners if owner.endswith("/*")]
    named = [owner for owner in owners if not owner.endswith("/*")]
    return sa.or_(column.in_(named), *(column.startswith(kind, autoescape=True) for kind in kinds))
