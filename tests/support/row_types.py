"""
Typed rows compared with the columns that they are read from.
"""

from __future__ import annotations

from datetime import datetime
from types import NoneType
from typing import Any, get_args, get_type_hints

import sqlalchemy as sa

from service_runtime.database.instants import Instant
from service_runtime.database.typed_rows import RowReader


def wrong_fields(reader: RowReader[Any]) -> set[str]:
    """
    Return the fields that cannot hold all values of their column.
    """
    hints = get_type_hints(reader.kind)
    return {
        column.name
        for column in reader.columns
        if not _values(column) <= set(get_args(hints[column.name]) or (hints[column.name],))
    }


def _values(column: sa.ColumnElement[Any]) -> set[type]:
    stored = column.element if isinstance(column, sa.Label) else column
    nullable = isinstance(stored, sa.Column) and stored.nullable
    kind = datetime if isinstance(column.type, Instant) else column.type.python_type
    return {kind, *([NoneType] if nullable else [])}
