"""
Callers. Each function runs in the caller's transaction.
"""

from __future__ import annotations

import hashlib
import secrets
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from config_service.store.changes import feed_change, next_revision
from config_service.store.rows import CALLERS, TOKENS, CallerRow, TokenRow
from config_service.store.schema import caller_tokens, callers
from config_service.store.subscription_rows import etag_of
from service_runtime.database.instants import after, database_now
from service_runtime.process.failures import FailureLog
from service_runtime.rpc import names
from service_runtime.rpc.caller_directory import CallerEntry, read_caller
from service_runtime.rpc.paging import Page, PageKey
from shipedge.webhooks.config.v1.caller_pb2 import Caller
from shipedge.webhooks.feed.v1.feed_service_pb2 import FeedCaller, FeedToken

KIND = "caller"
TOKEN_PREFIX = "shwt_"  # noqa: S105 - what tokens begin with, not a token

MOST_TOKENS = 10
"""
The tokens of a caller that are valid at a time.
"""


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


async def identity_taken(db: AsyncConnection, identity: str, caller_id: str) -> bool:
    """
    Tell whether another caller than *caller_id* has the name *identity* in its certificate.
    """
    query = sa.select(callers.c.caller_id).where(
        callers.c.certificate_identity == identity, callers.c.caller_id != caller_id
    )
    return (await db.execute(query)).first() is not None


async def insert(db: AsyncConnection, caller_id: str, message: Caller) -> str:
    """
    Insert a caller; return its token, empty for a caller with a certificate.
    """
    revision = await next_revision(db)
    row = {
        "caller_id": caller_id,
        "created_revision": revision,
        "revision": revision,
        "create_time": database_now(),
        "update_time": database_now(),
        **_config_columns(message),
    }
    await db.execute(sa.insert(callers).values(row))
    token = "" if message.certificate_identity else await _add_token(db, caller_id, revision)
    await feed_change(db, names.caller(caller_id), KIND, revision)
    return token


async def update(db: AsyncConnection, row: CallerRow, message: Caller) -> None:
    """
    Replace the fields that callers set. A caller that now has a certificate loses its tokens.
    """
    if message.certificate_identity:
        await _delete_tokens(db, row.caller_id)
    await _change(db, row, _config_columns(message))


async def rotate_token(db: AsyncConnection, row: CallerRow, grace: timedelta) -> str:
    """
    Create a new token and return it. Those in use expire after *grace*, or when they would have
    expired anyway; of more than `MOST_TOKENS` the oldest end at once.
    """
    mine, until = caller_tokens.c.caller_id == row.caller_id, after(grace)
    longer = sa.or_(caller_tokens.c.expire_time.is_(None), caller_tokens.c.expire_time > until)
    await db.execute(sa.update(caller_tokens).where(mine, longer).values(expire_time=until))
    kept = [it.token_sha256 for it in (await _tokens(db, [row.caller_id]))[row.caller_id]]
    others = caller_tokens.c.token_sha256.not_in(kept[: MOST_TOKENS - 1])
    await db.execute(sa.delete(caller_tokens).where(mine, others))
    revision = await _change(db, row, {})
    return await _add_token(db, row.caller_id, revision)


async def delete(db: AsyncConnection, caller_id: str) -> None:
    """
    Delete a caller. The feed carries the deletion; then its calls are refused.
    """
    revision = await next_revision(db)
    await _delete_tokens(db, caller_id)
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
    rows, tokens = await CALLERS.all(db, CALLERS.select()), await _tokens(db, None)
    for row in rows:
        with failures.isolated(caller=names.caller(row.caller_id)):
            found.append(read_caller(_feed_caller(row, tokens[row.caller_id])))
    return found


async def messages(db: AsyncConnection, rows: Sequence[CallerRow]) -> list[Caller]:
    """
    Return the callers of *rows* without their tokens.
    """
    tokens = await _tokens(db, [row.caller_id for row in rows])
    return [_message(row, tokens[row.caller_id]) for row in rows]


async def feed_callers(db: AsyncConnection, caller_ids: Sequence[str]) -> list[FeedCaller]:
    """
    Return callers with the hashes of their tokens, as only the feed may show them.
    """
    rows = await CALLERS.all(db, CALLERS.select().where(callers.c.caller_id.in_(caller_ids)))
    tokens = await _tokens(db, caller_ids)
    return [_feed_caller(row, tokens[row.caller_id]) for row in rows]


async def _add_token(db: AsyncConnection, caller_id: str, revision: int) -> str:
    token = new_token()
    row = {
        "caller_id": caller_id,
        "token_sha256": hashlib.sha256(token.encode()).digest(),
        "created_revision": revision,
    }
    await db.execute(sa.insert(caller_tokens).values(row))
    return token


async def _delete_tokens(db: AsyncConnection, caller_id: str) -> None:
    await db.execute(sa.delete(caller_tokens).where(caller_tokens.c.caller_id == caller_id))


async def _change(db: AsyncConnection, row: CallerRow, values: Mapping[str, Any]) -> int:
    """
    Change columns of a caller; return the revision of the change.
    """
    revision = await next_revision(db)
    changed = {"revision": revision, "update_time": database_now(), **values}
    same = callers.c.caller_id == row.caller_id
    await db.execute(sa.update(callers).where(same).values(changed))
    await feed_change(db, names.caller(row.caller_id), KIND, revision)
    return revision


async def _tokens(
    db: AsyncConnection, caller_ids: Sequence[str] | None
) -> Mapping[str, list[TokenRow]]:
    """
    Return the unexpired tokens of callers, of all for None, newest first.
    """
    expire_time = caller_tokens.c.expire_time
    query = TOKENS.select().where(sa.or_(expire_time.is_(None), expire_time > database_now()))
    if caller_ids is not None:
        query = query.where(caller_tokens.c.caller_id.in_(caller_ids))
    found: defaultdict[str, list[TokenRow]] = defaultdict(list)
    for row in await TOKENS.all(db, query.order_by(caller_tokens.c.created_revision.desc())):
        found[row.caller_id].append(row)
    return found


def _config_columns(message: Caller) -> Mapping[str, Any]:
    config = Caller(display_name=message.display_name, roles=message.roles, owners=message.owners)
    expire = message.expire_time.ToDatetime(tzinfo=UTC) if message.HasField("expire_time") else None
    return {
        "config": config.SerializeToString(),
        "certificate_identity": message.certificate_identity or None,
        "expire_time": expire,
    }


def _message(row: CallerRow, tokens: Sequence[TokenRow]) -> Caller:
    message = Caller.FromString(row.config)
    message.name = names.caller(row.caller_id)
    message.certificate_identity = row.certificate_identity or ""
    message.revision = row.revision
    message.etag = etag_of(row.revision)
    message.create_time.FromDatetime(row.create_time)
    message.update_time.FromDatetime(row.update_time)
    if row.expire_time is not None:
        message.expire_time.FromDatetime(row.expire_time)
    if ends := [token.expire_time for token in tokens if token.expire_time is not None]:
        message.old_token_expire_time.FromDatetime(max(ends))
    return message


def _feed_caller(row: CallerRow, tokens: Sequence[TokenRow]) -> FeedCaller:
    message = FeedCaller(caller=_message(row, tokens))
    for token in tokens:
        shown = FeedToken(sha256=token.token_sha256)
        if token.expire_time is not None:
            shown.expire_time.FromDatetime(token.expire_time)
        message.tokens.append(shown)
    return message
