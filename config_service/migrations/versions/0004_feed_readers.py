"""
what the readers of the feed have applied, which a change waits for

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
        "feed_readers",
        sa.Column("reader", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("seen_time", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("reader", name=op.f("pk_feed_readers")),
        comment="The processes that read the feed, and the revision that each has applied.",
    )
    op.create_index(op.f("ix_feed_readers_seen_time"), "feed_readers", ["seen_time"])


def downgrade() -> None:
    """
    Take the revision back.
    """
    op.drop_table("feed_readers")
