"""
note what is to be parked or made due again

Revision: 0004, after 0003.
"""

import sqlalchemy as sa
from alembic import op

from service_runtime.database.instants import Instant

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """
    Apply the revision.
    """
    op.create_table(
        "parkings",
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("subscription", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("create_time", Instant(), nullable=False),
        sa.Column("due_time", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("owner", "subscription", name=op.f("pk_parkings")),
        comment=(
            "Subscriptions whose waiting deliveries are still to be parked, or made due where"
            " active, in batches."
        ),
    )
    op.create_index(op.f("ix_parkings_due_time"), "parkings", ["due_time"])


def downgrade() -> None:
    """
    Take the revision back.
    """
    op.drop_table("parkings")
