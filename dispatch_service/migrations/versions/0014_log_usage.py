"""
what the log keeps of requests and responses, counted by owner and day

Revision: 0014, after 0013.
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """
    Apply the revision.
    """
    op.create_table(
        "log_usage",
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("day", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("owner", "day", name=op.f("pk_log_usage")),
        comment=(
            "How many bytes of requests and responses attempts have kept, by the days since"
            " 1970-01-01; all processes add to it every few seconds."
        ),
    )
    op.create_index(op.f("ix_log_usage_day"), "log_usage", ["day"])


def downgrade() -> None:
    """
    Take the revision back.
    """
    op.drop_table("log_usage")
