"""
a chain of the audit entries, its end and its keys

Revision: 0015, after 0014.
"""

import sqlalchemy as sa
from alembic import op

from service_runtime.database.instants import Instant

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

CHAIN = {
    "position": sa.BigInteger(),
    "audit_key_id": sa.Text(),
    "content_mac": sa.LargeBinary(),
    "chain_mac": sa.LargeBinary(),
}


def upgrade() -> None:
    """
    Apply the revision. The service chains the entries that are there when it starts, because
    that needs its keys.
    """
    with op.batch_alter_table("audit_entries") as table:
        for name, kind in CHAIN.items():
            table.add_column(sa.Column(name, kind, nullable=True))
        for name in list(CHAIN)[1:]:
            table.create_check_constraint(
                op.f(f"ck_audit_entries_chained_{name}"),
                f"(position IS NULL) = ({name} IS NULL)",
            )
    op.create_index(op.f("ix_audit_entries_position"), "audit_entries", ["position"])
    _create_head()
    op.create_table(
        "audit_keys",
        sa.Column("audit_key_id", sa.Text(), nullable=False),
        sa.Column("ring_key_id", sa.Text(), nullable=False),
        sa.Column("wrapped_key", sa.LargeBinary(), nullable=False),
        sa.Column("create_time", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("audit_key_id", name=op.f("pk_audit_keys")),
        comment=(
            "The keys that authenticate audit entries; ring_key_id is the first key of the ring"
            " when one was made."
        ),
    )


def _create_head() -> None:
    head = op.create_table(
        "audit_head",
        sa.Column("audit_head_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("chain_mac", sa.LargeBinary(), nullable=False),
        sa.Column("pruned_position", sa.BigInteger(), nullable=False),
        sa.Column("pruned_mac", sa.LargeBinary(), nullable=False),
        sa.Column("adopted_position", sa.BigInteger(), nullable=False),
        sa.Column("audit_key_id", sa.Text(), nullable=False),
        sa.Column("head_mac", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("audit_head_id", name=op.f("pk_audit_head")),
        sa.CheckConstraint("audit_head_id = 1", name=op.f("ck_audit_head_one_row")),
        comment=(
            "The end of the chain of audit entries, and its beginning: the last entry that was"
            " deleted by age. head_mac authenticates the row, and is empty before the first start."
        ),
    )
    op.execute(
        sa.insert(head).values(
            audit_head_id=1,
            position=0,
            chain_mac=b"",
            pruned_position=0,
            pruned_mac=b"",
            adopted_position=0,
            audit_key_id="",
            head_mac=b"",
        )
    )


def downgrade() -> None:
    """
    Take the revision back. The entries stay, in no chain.
    """
    op.drop_table("audit_keys")
    op.drop_table("audit_head")
    op.drop_index(op.f("ix_audit_entries_position"), table_name="audit_entries")
    with op.batch_alter_table("audit_entries") as table:
        for name in list(CHAIN)[1:]:
            table.drop_constraint(op.f(f"ck_audit_entries_chained_{name}"), type_="check")
        for name in reversed(CHAIN):
            table.drop_column(name)
