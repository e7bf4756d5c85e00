"""
columns by which endpoint events are listed

Revision: 0012, after 0011.
"""

import sqlalchemy as sa
from alembic import op

from service_runtime.database.instants import Instant

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None
phase = "expand"

TABLE = "endpoint_events"
TEXTS = ("subscription", "kind", "failure_kind")
INDEXES = (("owner", "occur_time"), ("kind", "occur_time"), ("occur_time",))
BEFORE = "What the dispatch service reported about endpoints."
AFTER = (
    f"{BEFORE} Rows without occur_time are from the release before 0012; they are completed in the"
    " background."
)


def upgrade() -> None:
    """
    Apply the revision. The service completes the rows that are there, and those that processes of
    the release before add meanwhile.
    """
    for name in TEXTS:
        op.add_column(TABLE, sa.Column(name, sa.Text(), server_default="", nullable=False))
    op.add_column(TABLE, sa.Column("occur_time", Instant(), nullable=True))
    for columns in INDEXES:
        op.create_index(_index(columns), TABLE, list(columns))
    _comment(AFTER)


def downgrade() -> None:
    """
    Take the revision back.
    """
    _comment(BEFORE)
    for columns in INDEXES:
        op.drop_index(_index(columns), TABLE)
    for name in ("occur_time", *reversed(TEXTS)):
        op.drop_column(TABLE, name)


def _index(columns: tuple[str, ...]) -> str:
    return str(op.f(f"ix_{TABLE}_{'_'.join(columns)}"))


def _comment(text: str) -> None:
    if op.get_bind().dialect.supports_comments:
        op.create_table_comment(TABLE, text)
