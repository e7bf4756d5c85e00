"""
INSERT … ON CONFLICT on both databases.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy.dialects import postgresql, sqlite

if TYPE_CHECKING:
    import sqlalchemy as sa


def insert(dialect: str, table: sa.Table) -> Any:
    """
    Begin an INSERT that has `on_conflict_do_nothing` and `on_conflict_do_update`.

    *dialect* is the name of the database's dialect.
    """
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)
