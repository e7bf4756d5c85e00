"""
the digests that identify the history of the feed

Revision: 0003, after 0002.
"""

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """
    Apply the revision. The chain begins at the revision that was reached, with random bytes.
    """
    history = op.create_table(
        "feed_history",
        sa.Column("revision", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("revision", name=op.f("pk_feed_history")),
        comment="The digest of each revision of the feed, chained: the identity of its history.",
    )
    reached = op.get_bind().execute(sa.text("SELECT revision FROM feed_state")).scalar_one()
    op.bulk_insert(history, [{"revision": reached, "digest": secrets.token_bytes(32)}])


def downgrade() -> None:
    """
    Take the revision back.
    """
    op.drop_table("feed_history")
