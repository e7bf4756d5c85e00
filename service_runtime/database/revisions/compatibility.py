"""
The table that says which versions of a service work with the other tables: an older version,
started again during an upgrade or after a rollback, cannot know what a newer one has changed.
"""

from __future__ import annotations

import sqlalchemy as sa

TABLE = "schema_compatibility"


def compatibility_table(metadata: sa.MetaData) -> sa.Table:
    """
    Declare the table of a service.
    """
    return sa.Table(
        TABLE,
        metadata,
        sa.Column("schema_compatibility_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("needs_revision", sa.Text, nullable=False),
        sa.CheckConstraint("schema_compatibility_id = 1", name="one_row"),
        comment="Versions of the service that know needs_revision work with these tables.",
    )


_ROW = sa.table(TABLE, sa.column("needs_revision", sa.Text))


def needs_revision(connection: sa.Connection) -> str | None:
    """
    Return the revision that a version must know, or None in a database from before the table.
    """
    if not sa.inspect(connection).has_table(TABLE):
        return None
    return connection.execute(sa.select(_ROW.c.needs_revision)).scalar()


def raise_needs(connection: sa.Connection, revision: str) -> None:
    """
    Let only versions that know *revision* work with the tables.
    """
    connection.execute(sa.update(_ROW).values(needs_revision=revision))
