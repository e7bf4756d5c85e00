"""
Every column that the key ring seals, for the rotation of its keys. What the day
keys seal stays as it is: the keys are wrapped anew.
"""

from __future__ import annotations

from dispatch_service.schema import day_keys, feed_resources
from dispatch_service.sealing import day_key_place
from dispatch_service.snapshot_store import resource_place
from shipedge.webhooks.runtime.key_rotation import SealedColumn

SEALED_COLUMNS = (
    SealedColumn(day_keys.c.wrapped_key, lambda row: day_key_place(row.day)),
    SealedColumn(feed_resources.c.sealed, lambda row: resource_place(row.name)),
)
