"""
What people do by hand, written down in the transaction that does it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch_service.storage.ids import new_id
from dispatch_service.storage.schema import audit_entries
from service_runtime.database.instants import database_now

Change = dict[str, str]
"""
A field with what it was before and is after.
"""


async def note(
    db: AsyncConnection,
    *,
    owner: str,
    caller: str,
    method: str,
    resource: str,
    changes: Sequence[Change] = (),
) -> None:
    """
    Write down who did what.
    """
    row: dict[str, Any] = {
        "owner": owner,
        "audit_entry_id": new_id(),
        "caller": caller,
        "method": method,
        "resource": resource,
        "changes": msgspec.json.encode(list(changes)).decode(),
        "create_time": database_now(),
    }
    await db.execute(sa.insert(audit_entries).values(row))
