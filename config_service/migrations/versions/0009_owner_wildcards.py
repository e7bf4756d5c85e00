"""
all accounts or warehouses of a caller are written with a hyphen, as in names of resources

Revision: 0009, after 0008.
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_KINDS = (b"accounts/", b"warehouses/")


def upgrade() -> None:
    """
    Apply the revision.
    """
    _replace(b"*", b"-")


def downgrade() -> None:
    """
    Take the revision back.
    """
    _replace(b"-", b"*")


def _replace(old: bytes, new: bytes) -> None:
    # The names keep their lengths, so the encoded messages stay as they are around them.
    callers = sa.table("callers", sa.column("caller_id"), sa.column("config", sa.LargeBinary()))
    connection = op.get_bind()
    for caller_id, config in connection.execute(sa.select(callers)).all():
        changed = config
        for kind in _KINDS:
            # Field 3 of `Caller`, its length, its value: an id that begins alike is longer.
            size = bytes([len(kind) + 1])
            changed = changed.replace(size + kind + old, size + kind + new)
        if changed != config:
            same = callers.c.caller_id == caller_id
            connection.execute(sa.update(callers).where(same).values(config=changed))
