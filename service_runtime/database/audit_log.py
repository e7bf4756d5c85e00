"""
The audit log, read back.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service_runtime.rpc import filters, names
from service_runtime.rpc.callers import EVERY_OWNER
from service_runtime.rpc.filters import Comparison
from service_runtime.rpc.paging import PageKey
from shipedge.webhooks.config.v1.audit_entry_pb2 import AuditEntry

FILTER_FIELDS: Mapping[str, filters.FieldKind] = {
    "create_time": filters.instant(),
    "caller": filters.text(),
    "method": filters.text(),
    "resource": filters.text(),
}


async def list_rows(
    db: AsyncConnection,
    table: sa.Table,
    owners: Collection[str],
    comparisons: Iterable[Comparison],
    *,
    size: int,
    begin_after: PageKey | None,
) -> tuple[Sequence[Any], PageKey | None]:
    """
    List the entries of *owners* in *table*, newest first, and the key that the next
    page begins after.

    `accounts/*` and `warehouses/*` stand for all; both together include what
    belongs to no owner.
    """
    columns = table.c
    # Ids grow with time; a page is bounded by them, so they alone give the order.
    query = sa.select(table).order_by(columns.audit_entry_id.desc()).limit(size + 1)
    if not set(owners) >= EVERY_OWNER:
        query = query.where(_belongs(columns.owner, owners))
    if begin_after is not None:
        query = query.where(columns.audit_entry_id < str(begin_after[0]))
    for comparison in comparisons:
        compared = filters.COMPARE[comparison.operator](columns[comparison.field], comparison.value)
        query = query.where(compared)
    rows = (await db.execute(query)).all()
    return rows[:size], [id_of(rows[size - 1])] if len(rows) > size else None


def _belongs(column: sa.ColumnElement[str], owners: Collection[str]) -> sa.ColumnElement[bool]:
    kinds = [it.removesuffix("*") for it in owners if it.endswith("/*")]
    named = [it for it in owners if not it.endswith("/*")]
    return sa.or_(column.in_(named), *(column.startswith(kind, autoescape=True) for kind in kinds))


def message_of(row: Any) -> AuditEntry:
    """
    Show an entry.
    """
    message = AuditEntry(
        name=names.audit_entry(id_of(row)),
        caller=row.caller,
        method=row.method,
        resource=row.resource,
        owner=row.owner,
    )
    message.create_time.FromDatetime(row.create_time)
    for change in msgspec.json.decode(row.changes):
        message.changes.add(**change)
    return message


def id_of(row: Any) -> str:
    """
    Return the id of an entry.
    """
    return str(row.audit_entry_id).replace("-", "")
