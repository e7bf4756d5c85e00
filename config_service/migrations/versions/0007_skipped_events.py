"""
events of an Inactive subscription are skipped, not suppressed; a status that a caller set is manual

Revision: 0007, after 0006.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_NAMES = (
    ("suppressed_event_count", "skipped_event_count"),
    ("last_suppressed_time", "last_skipped_time"),
)


def upgrade() -> None:
    """
    Apply the revision.
    """
    _rename_reason("SET", "MANUAL")
    for old, new in _NAMES:
        op.execute(f"ALTER TABLE subscriptions RENAME COLUMN {old} TO {new}")


def downgrade() -> None:
    """
    Take the revision back.
    """
    _rename_reason("MANUAL", "SET")
    for old, new in _NAMES:
        op.execute(f"ALTER TABLE subscriptions RENAME COLUMN {new} TO {old}")


def _rename_reason(old: str, new: str) -> None:
    check, columns = op.f("ck_subscriptions_status_reason"), sa.column("status_reason")
    with op.batch_alter_table("subscriptions") as table:
        table.drop_constraint(check, type_="check")
    reasons = sa.table("subscriptions", columns)
    op.execute(sa.update(reasons).where(columns == old).values(status_reason=new))
    with op.batch_alter_table("subscriptions") as table:
        table.create_check_constraint(check, f"status_reason IN ('{new}', 'GONE', 'FAILING')")
