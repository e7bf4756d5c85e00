"""
which versions of the service work with the tables

Revision: 0022, after 0021.
"""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None
phase = "expand"


def upgrade() -> None:
    """
    Apply the revision. Versions that know the table look at it.
    """
    table = op.create_table(
        "schema_compatibility",
        sa.Column("schema_compatibility_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("needs_revision", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("schema_compatibility_id", name=op.f("pk_schema_compatibility")),
        sa.CheckConstraint(
            "schema_compatibility_id = 1", name=op.f("ck_schema_compatibility_one_row")
        ),
        comment="Versions of the service that know needs_revision work with these tables.",
    )
    op.execute(sa.insert(table).values(schema_compatibility_id=1, needs_revision=revision))


def downgrade() -> None:
    """
    Take the revision back.
    """
    op.drop_table("schema_compatibility")
