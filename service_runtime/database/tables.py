"""
Names of constraints, types and indexes that the tables of both services share.
"""

from __future__ import annotations

import sqlalchemy as sa

NAMING_CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}
"""
The names that constraints and indexes get, so that a migration can address them.
"""

UuidText = sa.Uuid(as_uuid=False)
"""
A UUID that Python reads as text with hyphens.
"""


def partial_index(name: str, *columns: str, where: str) -> sa.Index:
    """
    Index the rows that meet the condition *where*, on both databases.
    """
    condition = sa.text(where)
    return sa.Index(name, *columns, sqlite_where=condition, postgresql_where=condition)
