"""
What every change of the configuration does beside its own rows: a revision, an
item of the feed, an entry of the audit log, a remembered request id.

A sequence of the database is not the order of its commits. The counter's row is
locked from the change to its commit, so revisions are.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Mapping

import msgspec
import sqlalchemy as sa
from google.protobuf import json_format
from google.protobuf.message import Message
from sqlalchemy.ext.asyncio import AsyncConnection

from config_service.rules.errors import RequestIdReused
from config_service.store.schema import audit_entries, feed_items, feed_state, request_ids
from service_runtime.database.instants import database_now

NO_VALUE = ""


class AuditChange(msgspec.Struct, frozen=True):
    """
    A field that changed; before and after as JSON, both empty for a secret.
    """

    field: str
    before: str
    after: str
    secret: bool = False


async def next_revision(db: AsyncConnection) -> int:
    """
    Raise the counter; it stays locked until the transaction ends.
    """
    raised = (
        sa.update(feed_state)
        .values(revision=feed_state.c.revision + 1)
        .returning(feed_state.c.revision)
    )
    return int((await db.execute(raised)).scalar_one())


async def feed_change(
    db: AsyncConnection, name: str, kind: str, revision: int, *, deleted: bool = False
) -> None:
    """
    Make a change visible in the feed.
    """
    row = {"kind": kind, "revision": revision, "deleted": deleted, "change_time": database_now()}
    updated = await db.execute(sa.update(feed_items).where(feed_items.c.name == name).values(row))
    if updated.rowcount == 0:
        await db.execute(sa.insert(feed_items).values(name=name, **row))


async def audit(
    db: AsyncConnection,
    *,
    caller: str,
    method: str,
    resource: str,
    owner: str,
    changes: list[AuditChange],
) -> None:
    """
    Write down who did what.
    """
    row = {
        "audit_entry_id": f"{time.time_ns():020d}{secrets.token_hex(4)}",
        "owner": owner,
        "create_time": database_now(),
        "caller": caller,
        "method": method,
        "resource": resource,
        "changes": msgspec.json.encode(changes).decode(),
    }
    await db.execute(sa.insert(audit_entries).values(row))


def shown_fields(message: Message) -> Mapping[str, str]:
    """
    Return the fields of a resource without secrets as JSON, to be compared.
    """
    shown = json_format.MessageToDict(message, preserving_proto_field_name=True)
    return {field: json.dumps(value, sort_keys=True) for field, value in shown.items()}


def differences(
    before: Mapping[str, str], after: Mapping[str, str], secret: frozenset[str]
) -> list[AuditChange]:
    """
    List the fields that differ; of secret ones only that they do.
    """
    fields = dict.fromkeys((*before, *after))
    return [
        AuditChange(field, NO_VALUE, NO_VALUE, secret=True)
        if field in secret
        else AuditChange(field, before.get(field, NO_VALUE), after.get(field, NO_VALUE))
        for field in fields
        if before.get(field) != after.get(field)
    ]


async def remembered(
    db: AsyncConnection, parent: str, request_id: str, method: str, request: Message
) -> str | None:
    """
    Return the resource that an earlier call with this request id made, or None.

    Raises `RequestIdReused` where that was another request.
    """
    if not request_id:
        return None
    query = sa.select(request_ids).where(
        request_ids.c.parent == parent, request_ids.c.request_id == request_id
    )
    row = (await db.execute(query)).one_or_none()
    if row is None:
        return None
    if (row.method, row.request_sha256) != (method, _hash(request)):
        raise RequestIdReused(method)
    return str(row.resource)


async def remember(
    db: AsyncConnection,
    parent: str,
    request_id: str,
    method: str,
    request: Message,
    resource: str,
) -> None:
    """
    Remember what a call with a request id made.
    """
    if not request_id:
        return
    row = {
        "parent": parent,
        "request_id": request_id,
        "method": method,
        "request_sha256": _hash(request),
        "resource": resource,
        "create_time": database_now(),
    }
    await db.execute(sa.insert(request_ids).values(row))


def _hash(request: Message) -> bytes:
    return hashlib.sha256(request.SerializeToString(deterministic=True)).digest()
