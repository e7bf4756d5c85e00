"""
Every column that the key ring seals, for the rotation of its keys. What the day
keys seal stays as it is: the keys are wrapped anew.
"""

from __future__ import annotations

from dispatch_service.storage.places import day_key_place, resource_place
from dispatch_service.storage.schema import day_keys, feed_resources
from service_runtime.keys.rotation import SealedColumn

SEALED_COLUMNS = (
    SealedColumn(day_keys.c.wrapped_key, lambda row: day_key_place(row.day)),
    SealedColumn(feed_resources.c.sealed, lambda row: resource_place(row.name)),
)
