"""
The layouts of rows fit the tables.
"""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from dispatch_service.queue import layouts
from dispatch_service.queue.layouts import Columns
from dispatch_service.storage.schema import attempts, bodies, deliveries, event_keys, events

KINDS = {
    "BIGINT": "bigint",
    "BOOLEAN": "boolean",
    "BYTEA": "bytea",
    "INTEGER": "integer",
    "TEXT": "text",
    "UUID": "uuid",
}


def kind_of(column: sa.Column[object]) -> str:
    """
    Return the type of a column on PostgreSQL, as a layout writes it.
    """
    compiled = str(column.type.compile(postgresql.dialect()))  # type: ignore[no-untyped-call]
    return KINDS.get(compiled, "timestamptz")


@pytest.mark.parametrize(
    ("layout", "table"),
    [
        (layouts.EVENT, events),
        (layouts.EVENT_KEY, event_keys),
        (layouts.BODY, bodies),
        (layouts.DELIVERY, deliveries),
        (layouts.OF_EVENT, deliveries),
        (layouts.SETTLEMENT, deliveries),
        (layouts.ATTEMPT, attempts),
        (layouts.OF_DELIVERY, attempts),
        (layouts.LATE, attempts),
    ],
)
def test_types_are_those_of_the_table(layout: Columns, table: sa.Table) -> None:
    """
    A value has the type of the column that it is stored in.
    """
    stored = {name: it.kind for name, it in layout.items() if name in table.c}

    assert stored == {name: kind_of(table.c[name]) for name in stored}


@pytest.mark.parametrize(
    ("row", "table", "unset"),
    [
        (layouts.EVENT_KEYS_ROW, event_keys, set()),
        (layouts.EVENTS_ROW, events, set()),
        (layouts.BODIES_ROW, bodies, set()),
        (layouts.DELIVERIES_ROW, deliveries, {"cancelled_by", "response_code"}),
        (layouts.ATTEMPTS_ROW, attempts, set()),
    ],
)
def test_row_sets_every_column(row: dict[str, str], table: sa.Table, unset: set[str]) -> None:
    """
    A stored row leaves out no column of its table, but what only later moves set.
    """
    assert row.keys() | unset == set(table.c.keys())
    assert not row.keys() & unset
