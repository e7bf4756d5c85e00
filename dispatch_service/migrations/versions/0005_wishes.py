"""
note in one place what any change of a subscription means for all that waits for it

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
    op.create_table(
        "wishes",
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("subscription", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("fate", sa.Text(), nullable=False),
        sa.Column("endpoint", sa.Text(), nullable=True),
        sa.Column("ordered", sa.Boolean(), nullable=False),
        sa.Column("create_time", Instant(), nullable=False),
        sa.Column("due_time", Instant(), nullable=False),
        sa.CheckConstraint("fate IN ('DUE', 'PARKED', 'CANCELLED')", name=op.f("ck_wishes_fate")),
        sa.PrimaryKeyConstraint("owner", "subscription", name=op.f("pk_wishes")),
        comment=(
            "Subscriptions whose waiting deliveries are still to be parked, made due or cancelled,"
            " in batches, at an endpoint, and in lanes only where ordered. A NULL endpoint leaves"
            " them at theirs."
        ),
    )
    op.create_index(op.f("ix_wishes_due_time"), "wishes", ["due_time"])
    op.execute(
        "INSERT INTO wishes (owner, subscription, revision, fate, ordered, create_time, due_time)"
        " SELECT owner, subscription, revision, CASE WHEN active THEN 'DUE' ELSE 'PARKED' END,"
        " true, create_time, due_time FROM parkings"
    )
    op.drop_table("parkings")


def downgrade() -> None:
    """
    Take the revision back. What was only noted beyond parking is lost: deliveries are cancelled,
    or sent to the new URL, one by one when they are due, and lanes go on in order.
    """
    op.create_table(
        "parkings",
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("subscription", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("create_time", Instant(), nullable=False),
        sa.Column("due_time", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("owner", "subscription", name=op.f("pk_parkings")),
        comment=(
            "Subscriptions whose waiting deliveries are still to be parked, or made due where"
            " active, in batches."
        ),
    )
    op.create_index(op.f("ix_parkings_due_time"), "parkings", ["due_time"])
    op.execute(
        "INSERT INTO parkings (owner, subscription, revision, active, create_time, due_time)"
        " SELECT owner, subscription, revision, fate = 'DUE', create_time, due_time"
        " FROM wishes WHERE fate <> 'CANCELLED'"
    )
    op.drop_table("wishes")
