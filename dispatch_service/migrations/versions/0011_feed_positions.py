"""
how far each process has matched its events with the changes of the feed

Revision: 0010, after 0009.
"""

import sqlalchemy as sa
from alembic import op

from service_runtime.database.instants import Instant

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """
    Apply the revision.
    """
    op.create_table(
        "feed_positions",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("config_time", Instant(), nullable=True),
        sa.Column("clock_offset_us", sa.BigInteger(), nullable=True),
        sa.Column("update_time", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_feed_positions")),
        comment=(
            "How far each process has matched its events with the changes of the feed: up to a"
            " revision, and up to config_time by the config service's database, whose clock is"
            " behind by clock_offset_us at least. The row of a process that has ended is taken"
            " over."
        ),
    )


def downgrade() -> None:
    """
    Take the revision back.
    """
    op.drop_table("feed_positions")
