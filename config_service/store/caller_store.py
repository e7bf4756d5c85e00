"""
Callers. Each function runs in the caller's transaction.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import UTC

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from config_service.store.changes import feed_change, next_revision
from config_service.store.rows import CALLERS, CallerRow
from config_service.store.schema import callers
from service_runtime.database.instants import database_now
from service_runtime.process.failures import FailureLog
from service_runtime.rpc import names
from service_runtime.rpc.caller_directory import CallerEntry, read_caller
from service_runtime.rpc.paging import Page, PageKey
from shipedge.webhooks.config.v1.caller_pb2 import Caller
from shipedge.webhooks.config.v1.feed_service_pb2 import FeedCaller

KIND = "caller"
TOKEN_PREFIX = "shwt_"  # noqa: S105 - what tokens begin with, not a token


def new_token() -> str:
    """
    Create a bearer token of 256 random bits. Its prefix lets scanners find leaked tokens.
    """
    return TOKEN_PREFIX + secrets.token_urlsafe(32)


async def find(db: AsyncConnection, caller_id: str) -> CallerRow | None:
    """
    Return a caller, or None.
    """
    return await CALLERS.first(db, CALLERS.select().where(callers.c.caller_id == caller_id))


async def identity_taken(db: AsyncConnection, identity: str) -> bool:
    """
    Tell whether a caller has the name *identity* in its certificate.
    """
    query = sa.select(callers.c.caller_id).where(callers.c.certificate_identity == identity)
    return (await db.execute(query)).first() is not None


async def insert(db: AsyncConnection, caller_id: str, message: Caller) -> str:
    """
    Insert a caller; return its token, empty for a caller with a certificate.
    """
    revision = await next_revision(db)
    token = "" if message.certificate_identity else new_token()
    config = Caller(display_name=message.display_name, roles=message.roles, owners=message.owners)
    expire = message.expire_time.ToDatetime(tzinfo=UTC) if message.HasField("expire_time") else None
    row = {
        "caller_id": caller_id,
        "created_revision": revision,
        "revision": revision,
        "config": config.SerializeToString(),
        "certificate_identity": message.certificate_identity or None,
        "token_sha256": hashlib.sha256(token.encode()).digest() if token else None,
        "create_time": database_now(),
        "expire_time": expire,
    }
    await db.execute(sa.insert(callers).values(row))
    await feed_change(db, names.caller(caller_id), KIND, revision)
    return token


async def delete(db: AsyncConnection, caller_id: str) -> None:
    """
    Delete a caller. The feed carries the deletion; then its calls are refused.
    """
    revision = await next_revision(db)
    await db.execute(sa.delete(callers).where(callers.c.caller_id == caller_id))
    await feed_change(db, names.caller(caller_id), KIND, revision, deleted=True)


async def list_rows(
    db: AsyncConnection, *, size: int, begin_after: PageKey | None
) -> Page[CallerRow]:
    """
    List callers, oldest first.
    """
    query = CALLERS.select().order_by(callers.c.created_revision).limit(size + 1)
    if begin_after is not None:
        query = query.where(callers.c.created_revision > int(begin_after[0]))
    return Page(await CALLERS.all(db, query), size, lambda row: [row.created_revision])


async def entries(db: AsyncConnection, failures: FailureLog) -> list[CallerEntry]:
    """
    Return all callers, as the directory of callers holds them.

    One that cannot be read is logged in *failures* and left out: it is not let in.
    """
    found = []
    for row in await CALLERS.all(db, CALLERS.select()):
        with failures.isolated(caller=names.caller(row.caller_id)):
            found.append(read_caller(feed_caller(row)))
    return found


def message_of(row: CallerRow) -> Caller:
    """
    Return a caller without its token.
    """
    message = Caller.FromString(row.config)
    message.name = names.caller(row.caller_id)
    message.certificate_identity = row.certificate_identity or ""
    message.revision = row.revision
    message.create_time.FromDatetime(row.create_time)
    if row.expire_time is not None:
        message.expire_time.FromDatetime(row.expire_time)
    return message


def feed_caller(row: CallerRow) -> FeedCaller:
    """
    Return a caller with the hash of its token, as only the feed may show it.
    """
    return FeedCaller(caller=message_of(row), token_sha256=row.token_sha256 or b"")
