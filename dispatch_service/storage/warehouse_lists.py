"""
The warehouses of stored events as rows of a statement.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from dispatch_service.storage.schema import events


def made_for_warehouses(table: sa.Table, dialect: str) -> sa.Exists:
    """
    Return the condition that *table* has rows of an event that belong to its warehouses.
    """
    ids: Any = events.c.warehouses
    listed = (
        sa.func.json_array_elements_text(sa.cast(ids, sa.JSON))
        if dialect == "postgresql"
        else sa.func.json_each(ids)
    ).table_valued("value")
    same = (table.c.account == events.c.account, table.c.event_id == events.c.event_id)
    owner = sa.literal("warehouses/") + listed.c.value
    return sa.exists().select_from(listed).where(table.c.owner == owner, *same)
