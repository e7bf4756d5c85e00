"""
note the last step of the clock

Revision: 0010, after 0009.
"""

import sqlalchemy as sa
from alembic import op

from service_runtime.database.instants import Instant

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """
    Apply the revision.
    """
    op.create_table(
        "clock_steps",
        sa.Column("clock_step_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("step_time", Instant(), nullable=False),
        sa.Column("step_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("clock_step_id", name=op.f("pk_clock_steps")),
        comment="The last step of the database's clock: one row, by which one process moves times.",
    )


def downgrade() -> None:
    """
    Take the revision back.
    """
    op.drop_table("clock_steps")
