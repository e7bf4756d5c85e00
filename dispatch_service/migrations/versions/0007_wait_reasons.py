"""
note why deliveries wait, and since when and why a breaker is open

Revision: 0007, after 0006.
"""

import sqlalchemy as sa
from alembic import op

from service_runtime.database.instants import Instant

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """
    Apply the revision. What waits gets the reason that its other columns show.
    """
    op.add_column("deliveries", sa.Column("wait_reason", sa.Text()))
    op.add_column("endpoint_states", sa.Column("open_since", Instant()))
    op.add_column("endpoint_states", sa.Column("failure_kind", sa.Text()))
    op.add_column("endpoint_states", sa.Column("response_code", sa.Integer()))
    op.execute("UPDATE endpoint_states SET open_since = update_time")
    op.execute(
        "UPDATE deliveries SET wait_reason = CASE WHEN due_time IS NULL THEN 'order'"
        " WHEN due_time = expire_time THEN 'inactive'"
        " WHEN retries_used > 0 THEN 'schedule' ELSE 'backlog' END"
        " WHERE state = 'PENDING'"
    )


def downgrade() -> None:
    """
    Take the revision back.
    """
    op.drop_column("endpoint_states", "response_code")
    op.drop_column("endpoint_states", "failure_kind")
    op.drop_column("endpoint_states", "open_since")
    op.drop_column("deliveries", "wait_reason")
