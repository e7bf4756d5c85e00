"""
the place of the publisher's call in a trace

Revision: 0019, after 0018.
"""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """
    Apply the revision.
    """
    op.add_column("deliveries", sa.Column("trace_parent", sa.Text(), nullable=True))


def downgrade() -> None:
    """
    Take the revision back.
    """
    op.drop_column("deliveries", "trace_parent")
