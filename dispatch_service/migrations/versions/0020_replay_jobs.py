"""
replays of events to subscriptions that lack them

Revision: 0020, after 0019.
"""

import sqlalchemy as sa
from alembic import op

from service_runtime.database.instants import Instant

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

DUE = sa.text("due_time IS NOT NULL")


def upgrade() -> None:
    """
    Apply the revision. Deliveries that are stored already are no replays.
    """
    op.add_column(
        "deliveries",
        sa.Column("replayed", sa.Boolean(), server_default=sa.false(), nullable=False),
    )
    op.create_table(
        "replay_jobs",
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("replay_job_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("subscription", sa.Text(), nullable=False),
        sa.Column("accept_start_time", Instant(), nullable=False),
        sa.Column("accept_end_time", Instant(), nullable=False),
        sa.Column("kinds", sa.Text(), nullable=True),
        sa.Column("events", sa.Text(), nullable=True),
        sa.Column("succeeded_count", sa.BigInteger(), nullable=False),
        sa.Column("after_time", Instant(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("rate_limit", sa.Integer(), nullable=False),
        sa.Column("total_count", sa.BigInteger(), nullable=False),
        sa.Column("skipped_count", sa.BigInteger(), nullable=False),
        sa.Column("failed_count", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("due_time", Instant(), nullable=True),
        sa.Column("create_time", Instant(), nullable=False),
        sa.Column("end_time", Instant(), nullable=True),
        sa.Column("error", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("owner", "replay_job_id", name=op.f("pk_replay_jobs")),
        sa.CheckConstraint(
            "state IN ('RUNNING', 'SUCCEEDED', 'CANCELLED', 'FAILED')",
            name=op.f("ck_replay_jobs_state"),
        ),
        sa.CheckConstraint(
            "(state = 'RUNNING') = (end_time IS NULL)",
            name=op.f("ck_replay_jobs_ended_has_end_time"),
        ),
        sa.CheckConstraint(
            "(state = 'RUNNING') = (due_time IS NOT NULL)",
            name=op.f("ck_replay_jobs_running_is_due"),
        ),
        comment=(
            "Replays of accepted events to a subscription that lacks them. kinds is a JSON array"
            " of kinds of events, NULL for all; events one of pairs of an account and an event id,"
            " in the order of their acceptance, NULL where the span chooses. What was accepted"
            " after after_time has not been looked at yet."
        ),
    )
    op.create_index(
        op.f("ix_replay_jobs_owner_create_time"), "replay_jobs", ["owner", "create_time"]
    )
    op.create_index(
        "ix_replay_jobs_due",
        "replay_jobs",
        ["due_time"],
        postgresql_where=DUE,
        sqlite_where=DUE,
    )


def downgrade() -> None:
    """
    Take the revision back.
    """
    op.drop_table("replay_jobs")
    op.drop_column("deliveries", "replayed")
