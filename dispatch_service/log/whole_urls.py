"""
Whole URLs in answers of the log, for callers who may see them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from dispatch_service.storage import urls
from dispatch_service.storage.rows import AttemptRow, DeliveryRow
from dispatch_service.storage.urls import UrlKey
from service_runtime.keys.keyring import KeyRing
from service_runtime.rpc.callers import current_caller

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection


async def whole_urls(
    db: AsyncConnection, ring: KeyRing, rows: Iterable[DeliveryRow | AttemptRow]
) -> Mapping[UrlKey, str]:
    """
    Return the whole URLs of *rows*, none for a caller who is neither operator nor admin.
    """
    if not current_caller.get().has_role("operator", "admin"):
        return {}
    return await urls.opened(db, ring, {(row.owner, row.url_hash) for row in rows})
