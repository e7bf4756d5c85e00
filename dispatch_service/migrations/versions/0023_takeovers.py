"""
from which processes others take over what they hold

Revision: 0023, after 0022.
"""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None
phase = "expand"


def upgrade() -> None:
    """
    Apply the revision. Processes of earlier versions leave the column alone: nobody takes over
    from them.
    """
    op.add_column(
        "dispatchers",
        sa.Column(
            "stops_when_silent", sa.Boolean(), server_default=sa.text("false"), nullable=False
        ),
    )


def downgrade() -> None:
    """
    Take the revision back.
    """
    op.drop_column("dispatchers", "stops_when_silent")
