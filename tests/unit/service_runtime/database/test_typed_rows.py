"""
Rows as structs.
"""

from __future__ import annotations

import msgspec
import pytest
import sqlalchemy as sa

from service_runtime.database.typed_rows import RowReader

METADATA = sa.MetaData()
ORDERS = sa.Table("orders", METADATA, sa.Column("id", sa.Integer), sa.Column("name", sa.Text))
NOTES = sa.Table("notes", METADATA, sa.Column("id", sa.Text), sa.Column("text", sa.Text))


class OrderWithNote(msgspec.Struct, frozen=True):
    """
    Fields of two tables, and one that neither table has under that name.
    """

    id: int
    text: str
    title: str


def test_columns_follow_the_fields() -> None:
    """
    A field is read from the column of its name in the first table that has it.
    """
    reader = RowReader(OrderWithNote, ORDERS, NOTES, other_columns={"title": ORDERS.c.name})

    text = " ".join(str(reader.select()).split())
    assert text == "SELECT orders.id, notes.text, orders.name AS title FROM orders, notes"


def test_field_without_a_column() -> None:
    """
    A field that no table has is an error of the program, found when it starts.
    """
    with pytest.raises(LookupError, match="title"):
        RowReader(OrderWithNote, ORDERS, NOTES)
