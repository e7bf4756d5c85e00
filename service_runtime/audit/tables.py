"""
The tables of the chain of the audit log, which both services have.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from service_runtime.database.instants import Instant
from service_runtime.keys.keyring import AssociatedData
from service_runtime.keys.rotation import SealedColumn

CHAINED = "(position IS NULL) = ({0} IS NULL)"
"""
The condition that an entry is in the chain with all of its columns, or with none.
"""


@dataclass(frozen=True, slots=True)
class AuditTables:
    """
    The entries of the audit log, the row that says where their chain ends, and its keys.
    """

    entries: sa.Table
    head: sa.Table
    keys: sa.Table

    def sealed_column(self) -> SealedColumn:
        """
        Describe the column of keys, for the rotation of the key ring.
        """
        return SealedColumn(self.keys.c.wrapped_key, lambda row: audit_key(row.audit_key_id))


def chain_columns() -> Sequence[sa.schema.SchemaItem]:
    """
    Return what the table of entries has for the chain. An entry that was not written through
    this release has no values there.
    """
    return (
        sa.Column("position", sa.BigInteger),
        sa.Column("audit_key_id", sa.Text),
        sa.Column("content_mac", sa.LargeBinary),
        sa.Column("chain_mac", sa.LargeBinary),
        *(
            sa.CheckConstraint(CHAINED.format(name), name=f"chained_{name}")
            for name in ("audit_key_id", "content_mac", "chain_mac")
        ),
        sa.Index(None, "position"),
    )


def audit_tables(metadata: sa.MetaData, entries: sa.Table) -> AuditTables:
    """
    Add the tables of the chain of *entries* to *metadata*.
    """
    head = sa.Table(
        "audit_head",
        metadata,
        sa.Column("audit_head_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("chain_mac", sa.LargeBinary, nullable=False),
        sa.Column("pruned_position", sa.BigInteger, nullable=False),
        sa.Column("pruned_mac", sa.LargeBinary, nullable=False),
        sa.Column("adopted_position", sa.BigInteger, nullable=False),
        sa.Column("audit_key_id", sa.Text, nullable=False),
        sa.Column("head_mac", sa.LargeBinary, nullable=False),
        sa.CheckConstraint("audit_head_id = 1", name="one_row"),
        comment=(
            "The end of the chain of audit entries, and its beginning: the last entry that was"
            " deleted by age. head_mac authenticates the row, and is empty before the first start."
        ),
    )
    keys = sa.Table(
        "audit_keys",
        metadata,
        sa.Column("audit_key_id", sa.Text, primary_key=True),
        sa.Column("ring_key_id", sa.Text, nullable=False),
        sa.Column("wrapped_key", sa.LargeBinary, nullable=False),
        sa.Column("create_time", Instant, nullable=False),
        comment=(
            "The keys that authenticate audit entries; ring_key_id is the first key of the ring"
            " when one was made."
        ),
    )
    return AuditTables(entries, head, keys)


def audit_key(key_id: str) -> AssociatedData:
    """
    Return the associated data of a wrapped key of the chain.
    """
    return AssociatedData("audit_keys", (key_id,), "wrapped_key")
