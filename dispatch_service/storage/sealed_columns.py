"""
All columns that the key ring seals, for the rotation of its keys.

Values under a day key stay as they are: only the day key is wrapped again.
"""

from __future__ import annotations

from dispatch_service.storage import associated_data
from dispatch_service.storage.schema import audit, day_keys, feed_resources, urls
from service_runtime.keys.rotation import SealedColumn

SEALED_COLUMNS = (
    SealedColumn(day_keys.c.wrapped_key, lambda row: associated_data.day_key(row.day)),
    SealedColumn(feed_resources.c.sealed, lambda row: associated_data.feed_resource(row.name)),
    SealedColumn(urls.c.sealed_url, lambda row: associated_data.url(row.owner, row.url_hash)),
    audit.sealed_column(),
)
