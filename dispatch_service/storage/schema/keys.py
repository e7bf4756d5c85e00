"""
The table of data keys.
"""

from __future__ import annotations

import sqlalchemy as sa

from dispatch_service.storage.schema.metadata import metadata
from service_runtime.database.instants import Instant

day_keys = sa.Table(
    "day_keys",
    metadata,
    sa.Column("day", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("wrapped_key", sa.LargeBinary, nullable=False),
    sa.Column("create_time", Instant, nullable=False),
    comment="One data key per UTC day (days since 1970), wrapped by the key ring.",
)
