"""
jobs that fail, and how many of their deliveries failed

Revision: 0018, after 0017.
"""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

STATE = "ck_resend_jobs_state"
BEFORE = "state IN ('RUNNING', 'SUCCEEDED', 'CANCELLED')"
AFTER = "state IN ('RUNNING', 'SUCCEEDED', 'CANCELLED', 'FAILED')"


def upgrade() -> None:
    """
    Apply the revision.
    """
    with op.batch_alter_table("resend_jobs") as table:
        table.add_column(
            sa.Column("failed_count", sa.BigInteger(), server_default="0", nullable=False)
        )
        table.add_column(sa.Column("error", sa.LargeBinary(), nullable=True))
        table.drop_constraint(op.f(STATE), type_="check")
        table.create_check_constraint(op.f(STATE), AFTER)


def downgrade() -> None:
    """
    Take the revision back. A job that has failed counts as cancelled.
    """
    op.execute("UPDATE resend_jobs SET state = 'CANCELLED' WHERE state = 'FAILED'")
    with op.batch_alter_table("resend_jobs") as table:
        table.drop_constraint(op.f(STATE), type_="check")
        table.create_check_constraint(op.f(STATE), BEFORE)
        table.drop_column("error")
        table.drop_column("failed_count")
