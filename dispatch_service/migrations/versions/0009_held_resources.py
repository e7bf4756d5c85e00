"""
the identity of the feed, and what is held because the feed no longer names it

Revision: 0009, after 0008.
"""

import sqlalchemy as sa
from alembic import op

from service_runtime.database.instants import Instant

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

OLD_COMMENT = (
    "Changes of subscriptions that are still to be applied to the waiting deliveries, in"
    " batches: resume, suspend or cancel them, move them to endpoint unless it is NULL, and"
    " take them out of their sequences unless ordered."
)
NEW_COMMENT = f"{OLD_COMMENT} held: the subscription is held, or its hold has ended."


def upgrade() -> None:
    """
    Apply the revision. A stored snapshot has no digest, so a new one is read.
    """
    op.add_column("feed_state", sa.Column("digest", sa.LargeBinary()))
    op.add_column(
        "backlog_updates",
        sa.Column("held", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    op.create_table(
        "held_resources",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("hold_time", Instant(), nullable=False),
        sa.Column("missed_since", Instant(), nullable=False),
        sa.CheckConstraint(
            "reason IN ('MISSING', 'UNUSABLE', 'RETURNED')", name=op.f("ck_held_resources_reason")
        ),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_held_resources")),
        comment=(
            "Resources that the config service no longer names without having deleted them, or"
            " that cannot be used, since hold_time: their deliveries wait. One that has RETURNED"
            " is still to be matched with the events that it missed."
        ),
    )
    _comment(NEW_COMMENT)


def downgrade() -> None:
    """
    Take the revision back.
    """
    _comment(OLD_COMMENT)
    op.drop_table("held_resources")
    op.drop_column("backlog_updates", "held")
    op.drop_column("feed_state", "digest")


def _comment(comment: str) -> None:
    if op.get_bind().dialect.name == "sqlite":
        return  # it keeps no comments
    op.create_table_comment("backlog_updates", comment)
