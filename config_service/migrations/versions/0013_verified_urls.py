"""
subscriptions whose URL has to answer a challenge

Revision: 0013, after 0012.
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None
phase = "expand"

CHECK = "ck_subscriptions_status_reason"
BEFORE = "'MANUAL', 'GONE', 'FAILING'"


def upgrade() -> None:
    """
    Apply the revision.
    """
    with op.batch_alter_table("subscriptions") as table:
        table.add_column(sa.Column("verified_url_hash", sa.LargeBinary(), nullable=True))
        table.drop_constraint(op.f(CHECK), type_="check")
        table.create_check_constraint(op.f(CHECK), f"status_reason IN ({BEFORE}, 'UNVERIFIED')")


def downgrade() -> None:
    """
    Take the revision back: what waits for its URL stays Inactive, as if somebody had set it so.
    """
    op.execute(
        sa.text(
            "UPDATE subscriptions SET status_reason = 'MANUAL' WHERE status_reason = 'UNVERIFIED'"
        )
    )
    with op.batch_alter_table("subscriptions") as table:
        table.drop_constraint(op.f(CHECK), type_="check")
        table.create_check_constraint(op.f(CHECK), f"status_reason IN ({BEFORE})")
        table.drop_column("verified_url_hash")
