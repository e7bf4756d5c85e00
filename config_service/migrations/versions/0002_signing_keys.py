"""
the ed25519 keys of subscriptions

Revision: 0002, after 0001.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """
    Apply the revision.
    """
    op.add_column("signing_secrets", sa.Column("sealed_signing_key", sa.LargeBinary()))


def downgrade() -> None:
    """
    Take the revision back.
    """
    with op.batch_alter_table("signing_secrets") as table:
        table.drop_column("sealed_signing_key")
