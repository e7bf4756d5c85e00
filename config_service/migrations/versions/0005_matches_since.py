"""
since when events are matched with subscriptions

Revision: 0005, after 0004.
"""

import sqlalchemy as sa
from alembic import op

from service_runtime.database.instants import Instant

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """
    Apply the revision.
    """
    op.add_column("subscriptions", sa.Column("matches_since", Instant()))


def downgrade() -> None:
    """
    Take the revision back.
    """
    with op.batch_alter_table("subscriptions") as table:
        table.drop_column("matches_since")
