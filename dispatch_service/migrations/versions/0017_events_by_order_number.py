"""
find events by the number of their order

Revision: 0017, after 0016.
"""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

INDEX = "ix_events_order_number"
FILLED = sa.text("order_number_hash IS NOT NULL")

BEFORE = (
    "Accepted events. A NULL payload was erased or is past its retention. warehouses is a"
    " JSON array of ids; order_id and the keyed hash of the customer's e-mail find what is"
    " to be erased"
)
AFTER = f"{BEFORE}, the keyed hash of the order's number what people look for"


def upgrade() -> None:
    """
    Apply the revision. Earlier events have no hash: they are found by their resource.
    """
    op.add_column("events", sa.Column("order_number_hash", sa.LargeBinary))
    op.create_index(
        INDEX,
        "events",
        ["account", "order_number_hash"],
        postgresql_where=FILLED,
        sqlite_where=FILLED,
    )
    _comment(AFTER)


def downgrade() -> None:
    """
    Take the revision back.
    """
    _comment(BEFORE)
    op.drop_index(INDEX, "events")
    op.drop_column("events", "order_number_hash")


def _comment(text: str) -> None:
    if op.get_bind().dialect.supports_comments:
        op.create_table_comment("events", f"{text}.")
