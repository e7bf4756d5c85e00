"""
challenges of URLs

Revision: 0024, after 0023.
"""

import sqlalchemy as sa
from alembic import op

from service_runtime.database.instants import Instant

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None
phase = "expand"


def upgrade() -> None:
    """
    Apply the revision.
    """
    op.create_table(
        "url_challenges",
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("subscription", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("lease_time", Instant(), nullable=False),
        sa.Column("end_time", Instant(), nullable=True),
        sa.PrimaryKeyConstraint("owner", "subscription", name=op.f("pk_url_challenges")),
        comment=(
            "The revision of each subscription whose URL was last sent a challenge. Without end_time"
            " a process does so until lease_time; then another one may."
        ),
    )


def downgrade() -> None:
    """
    Take the revision back.
    """
    op.drop_table("url_challenges")
