"""
The identity of the configuration: one digest for each revision of the feed, chained.

Two databases may have the same revisions, for example after a restore, but not the same
digests: each digest has random bytes and the digest before it in it.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from config_service.store.deletion import delete_in_batches
from config_service.store.schema import feed_history

KEPT = 1_000_000
"""
How many digests are kept, the newest. A reader that is further behind begins with a snapshot.
"""

SALT_BYTES = 16

_PRUNED_AT_ONCE = 10_000


@dataclass(frozen=True, slots=True)
class Position:
    """
    A revision of the feed, and the digest of the history that led to it.
    """

    revision: int
    digest: bytes


def next_digest(previous: bytes, revision: int, name: str, salt: bytes) -> bytes:
    """
    Return the digest after the change of *name* at *revision*.
    """
    return hashlib.sha256(b"%s%d %s\0%s" % (previous, revision, name.encode(), salt)).digest()


async def extend(db: AsyncConnection, revision: int, name: str) -> None:
    """
    Store the digest of a change, in its transaction.

    The counter of revisions is locked, so nobody else adds a digest meanwhile.
    """
    previous = (await db.execute(sa.select(digest_at(revision)))).scalar()
    digest = next_digest(previous or b"", revision, name, secrets.token_bytes(SALT_BYTES))
    await db.execute(sa.insert(feed_history).values(revision=revision, digest=digest))


def digest_at(revision: int | sa.ColumnElement[int]) -> sa.ScalarSelect[Any]:
    """
    Return the expression for the digest of a revision, NULL where it is no longer kept.
    """
    columns = feed_history.c
    upto = sa.select(columns.digest).where(columns.revision <= revision)
    return upto.order_by(columns.revision.desc()).limit(1).scalar_subquery()


async def prune(engine: AsyncEngine, kept: int = KEPT) -> int:
    """
    Forget all but the newest *kept* digests, in batches; return how many.
    """
    columns = feed_history.c
    oldest_kept = sa.select(columns.revision).order_by(columns.revision.desc()).offset(kept - 1)
    old = sa.select(columns.revision).where(
        columns.revision < oldest_kept.limit(1).scalar_subquery()
    )
    batch = sa.delete(feed_history).where(
        columns.revision.in_(old.order_by(columns.revision).limit(_PRUNED_AT_ONCE))
    )
    return await delete_in_batches(engine, batch, _PRUNED_AT_ONCE)
