"""
${message}

Revision: ${up_revision}, after ${down_revision | comma,n}.
"""

import sqlalchemy as sa
from alembic import op

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = None
depends_on = None
# "expand" if the version before works with these tables, "contract" if it does not.
phase = None


def upgrade() -> None:
    """
    Apply the revision.
    """
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    """
    Take the revision back.
    """
    ${downgrades if downgrades else "pass"}
