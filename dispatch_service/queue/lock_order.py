"""
The order in which a transaction locks rows that other transactions lock too, so that no two
wait for each other: rows of the snapshot, events, sequences, deliveries, each by key, and
backlog updates last. A transaction that already holds a backlog update skips deliveries that
others hold, or has locked their sequences before.

A result that raises webhooks cannot keep this order; the victim of a deadlock is run again by
`retry_on_conflict`.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from dispatch_service.storage.schema import deliveries
from service_runtime.database.row_values import byte_order


def by_key(table: sa.Table) -> list[sa.ColumnElement[Any]]:
    """
    Return what rows of a table are sorted by that are to be locked.
    """
    columns = table.primary_key.columns
    return [byte_order(it) if isinstance(it.type, sa.Text) else it for it in columns]


def locked(condition: sa.ColumnElement[bool]) -> sa.Select[Any]:
    """
    Select the keys of the deliveries that meet a condition, and lock them.
    """
    key = deliveries.primary_key.columns
    return sa.select(*key).where(condition).order_by(*by_key(deliveries)).with_for_update()


def update_locked(condition: sa.ColumnElement[bool]) -> sa.Update:
    """
    Update the deliveries that meet a condition; an UPDATE by itself locks in any order.
    """
    key = sa.tuple_(*deliveries.primary_key.columns)
    return sa.update(deliveries).where(key.in_(locked(condition)))
