"""
subscriptions of the feed are messages of another form, so the feed begins with a snapshot

Revision: 0013, after 0012.
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """
    Apply the revision. Subscriptions as they are stored cannot be read any more: they are held
    until the snapshot brings them again.
    """
    _forget_position()


def downgrade() -> None:
    """
    Take the revision back.
    """
    _forget_position()


def _forget_position() -> None:
    state = sa.table("feed_state", sa.column("digest", sa.LargeBinary()))
    op.execute(sa.update(state).values(digest=b""))
