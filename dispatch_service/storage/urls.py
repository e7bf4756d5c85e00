"""
The whole URLs of subscriptions, sealed once for each owner and hash: deliveries and attempts hold
only their shown form and their hash.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import sqlalchemy as sa

from dispatch_service.storage import associated_data
from dispatch_service.storage.schema import urls
from service_runtime.database.engine import writing
from service_runtime.database.inserts import insert
from service_runtime.database.instants import database_now
from service_runtime.keys.keyring import KeyRing, SealBrokenError, UnknownKeyError

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

UrlKey = tuple[str, bytes]
"""
The owner of a URL, and its keyed hash.
"""

BATCH = 200


async def record(db: AsyncConnection, ring: KeyRing, wanted: Mapping[UrlKey, str]) -> None:
    """
    Seal those of the URLs *wanted* that are not there yet.
    """
    for keys in _batches(wanted):
        known = {(row.owner, row.url_hash) for row in await _rows(db, keys)}
        rows = [
            {
                "owner": owner,
                "url_hash": url_hash,
                "sealed_url": ring.seal(
                    wanted[owner, url_hash].encode(), associated_data.url(owner, url_hash)
                ),
            }
            for owner, url_hash in keys
            if (owner, url_hash) not in known
        ]
        if rows:
            statement = insert(db.dialect.name, urls).values(update_time=database_now())
            await db.execute(statement.on_conflict_do_nothing(), rows)


async def complete(engine: AsyncEngine, ring: KeyRing, wanted: Mapping[UrlKey, str]) -> None:
    """
    Record URLs, a batch in each transaction: those of subscriptions that were stored before
    their URLs were.
    """
    for keys in _batches(wanted):
        async with writing(engine) as db:
            await record(db, ring, {key: wanted[key] for key in keys})


async def opened(
    db: AsyncConnection, ring: KeyRing, wanted: Collection[UrlKey]
) -> dict[UrlKey, str]:
    """
    Return those of the URLs *wanted* that are there and open.
    """
    found = {}
    for keys in _batches(dict.fromkeys(wanted)):
        for owner, url_hash, sealed in await _rows(db, keys):
            # Without one of them the log still shows all that it has beside it.
            with suppress(SealBrokenError, UnknownKeyError):
                text = ring.open(sealed, associated_data.url(owner, url_hash)).decode()
                found[owner, url_hash] = text
    return found


async def _rows(db: AsyncConnection, keys: Sequence[UrlKey]) -> Sequence[sa.Row[str, bytes, bytes]]:
    """
    Read rows by looks into the primary key.
    """
    of_owner: dict[str, list[bytes]] = {}
    for owner, url_hash in keys:
        of_owner.setdefault(owner, []).append(url_hash)
    # A list of row values would have SQLite scan the table.
    chosen = (
        sa.and_(urls.c.owner == owner, urls.c.url_hash.in_(hashes))
        for owner, hashes in of_owner.items()
    )
    query = sa.select(urls.c.owner, urls.c.url_hash, urls.c.sealed_url).where(sa.or_(*chosen))
    return (await db.execute(query)).all()


def _batches(keys: Mapping[UrlKey, object]) -> Iterator[list[UrlKey]]:
    listed = list(keys)
    for start in range(0, len(listed), BATCH):
        yield listed[start : start + BATCH]
