"""
find the log of one resource

Revision: 0003, after 0002.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """
    Apply the revision.
    """
    op.create_index("ix_deliveries_resource", "deliveries", ["owner", "resource", "create_time"])
    op.create_index(
        "ix_attempts_slow",
        "attempts",
        ["owner", "start_time"],
        postgresql_where=sa.text("duration_us >= 1000000"),
        sqlite_where=sa.text("duration_us >= 1000000"),
    )


def downgrade() -> None:
    """
    Take the revision back.
    """
    op.drop_index("ix_attempts_slow", "attempts")
    op.drop_index("ix_deliveries_resource", "deliveries")
