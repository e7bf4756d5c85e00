"""
events of an Inactive subscription are skipped, not suppressed

Revision: 0007, after 0006.
"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_NAMES = (
    ("suppressed_event_count", "skipped_event_count"),
    ("last_suppressed_time", "last_skipped_time"),
)


def upgrade() -> None:
    """
    Apply the revision.
    """
    for old, new in _NAMES:
        op.execute(f"ALTER TABLE subscriptions RENAME COLUMN {old} TO {new}")


def downgrade() -> None:
    """
    Take the revision back.
    """
    for old, new in _NAMES:
        op.execute(f"ALTER TABLE subscriptions RENAME COLUMN {new} TO {old}")
