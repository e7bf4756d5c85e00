"""
find the failed deliveries of all owners

Revision: 0016, after 0015.
"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """
    Apply the revision. A delivery that never fails writes nothing to the index.
    """
    op.create_index(
        "ix_deliveries_failed",
        "deliveries",
        ["owner", "create_time"],
        postgresql_where=sa.text("state = 'FAILED'"),
        sqlite_where=sa.text("state = 'FAILED'"),
    )


def downgrade() -> None:
    """
    Take the revision back.
    """
    op.drop_index("ix_deliveries_failed", "deliveries")
