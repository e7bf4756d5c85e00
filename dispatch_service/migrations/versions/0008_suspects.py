"""
tables of suspects: their attempts on the wire, and the control times of processes

Revision: 0008, after 0007.
"""

import sqlalchemy as sa
from alembic import op

from service_runtime.database.instants import Instant

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """
    Apply the revision.
    """
    op.create_table(
        "suspect_attempts",
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("delivery_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("process", sa.Text(), nullable=False),
        sa.Column("start_time", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("owner", "delivery_id", "number", name=op.f("pk_suspect_attempts")),
        comment=(
            "Attempts of deliveries that may kill the process, written before the request leaves"
            " and deleted with the result: what a dead process leaves counts against the delivery."
        ),
    )
    op.create_table(
        "control_times",
        sa.Column("process", sa.Text(), nullable=False),
        sa.Column("start_time", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("process", name=op.f("pk_control_times")),
        comment=(
            "Processes that have started and attempt no suspect yet, or have died before they did."
        ),
    )


def downgrade() -> None:
    """
    Take the revision back: deliveries that may kill the process are no longer known.
    """
    op.drop_table("control_times")
    op.drop_table("suspect_attempts")
