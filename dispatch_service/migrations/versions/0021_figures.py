"""
figures of subscriptions by minute, hour and day

Revision: 0021, after 0020.
"""

import sqlalchemy as sa
from alembic import op

from service_runtime.database.instants import Instant

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

FAILED = sa.text("failure_count > 0")


def upgrade() -> None:
    """
    Apply the revision. The figures begin two days before it.
    """
    op.create_table(
        "attempt_figures",
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("subscription", sa.Text(), nullable=False),
        sa.Column("unit", sa.Text(), nullable=False),
        sa.Column("start_time", Instant(), nullable=False),
        sa.Column("success_count", sa.BigInteger(), nullable=False),
        sa.Column("failure_count", sa.BigInteger(), nullable=False),
        sa.Column("interrupted_count", sa.BigInteger(), nullable=False),
        sa.Column("last_success_time", Instant()),
        sa.Column("last_failure_time", Instant()),
        sa.Column("durations", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "unit IN ('MINUTE', 'HOUR', 'DAY')", name=op.f("ck_attempt_figures_unit")
        ),
        sa.PrimaryKeyConstraint(
            "owner", "subscription", "unit", "start_time", name=op.f("pk_attempt_figures")
        ),
        comment=(
            "The attempts of subscriptions that settled in a minute, hour or day of UTC. durations"
            " is a JSON object: how many lasted so long, by the lower bound in microseconds."
        ),
    )
    op.create_index(
        op.f("ix_attempt_figures_unit_start_time"), "attempt_figures", ["unit", "start_time"]
    )
    op.create_index(
        "ix_attempt_figures_failures",
        "attempt_figures",
        ["unit", "start_time"],
        postgresql_where=FAILED,
        sqlite_where=FAILED,
    )
    op.create_table(
        "figure_positions",
        sa.Column("figure_position_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("through_time", Instant(), nullable=False),
        sa.Column("lease_owner", sa.Text(), nullable=False),
        sa.Column("lease_expire_time", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("figure_position_id", name=op.f("pk_figure_positions")),
        comment=(
            "Up to when settled attempts are in the figures, and the process that counts on: one"
            " row."
        ),
    )


def downgrade() -> None:
    """
    Take the revision back.
    """
    op.drop_table("figure_positions")
    op.drop_table("attempt_figures")
