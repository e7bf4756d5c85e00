"""
Settings of owners. Each function runs in the caller's transaction.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from config_service.store.changes import feed_change, next_revision
from config_service.store.rows import SETTINGS, SettingsRow
from config_service.store.schema import owner_settings
from config_service.store.subscription_rows import etag_of
from service_runtime.database.instants import database_now
from service_runtime.rpc import names
from shipedge.webhooks.config.v1.owner_settings_pb2 import OwnerSettings

KIND = "owner_settings"


async def read(db: AsyncConnection, owner: str) -> OwnerSettings:
    """
    Return the settings of *owner*: the defaults if none were ever set.
    """
    row = await SETTINGS.first(db, SETTINGS.select().where(owner_settings.c.owner == owner))
    return OwnerSettings(name=names.settings(owner)) if row is None else message_of(row)


def message_of(row: SettingsRow) -> OwnerSettings:
    message = OwnerSettings.FromString(row.config)
    message.name = names.settings(row.owner)
    message.revision = row.revision
    message.etag = etag_of(row.revision)
    message.update_time.FromDatetime(row.update_time)
    return message


async def write(db: AsyncConnection, owner: str, settings: OwnerSettings) -> None:
    """
    Replace the fields that callers set, at a new revision.
    """
    config = OwnerSettings()
    config.CopyFrom(settings)
    for field in ("name", "revision", "etag", "update_time"):
        config.ClearField(field)
    revision = await next_revision(db)
    row = {
        "revision": revision,
        "config": config.SerializeToString(),
        "update_time": database_now(),
    }
    same = owner_settings.c.owner == owner
    updated = await db.execute(sa.update(owner_settings).where(same).values(row))
    if updated.rowcount == 0:
        await db.execute(sa.insert(owner_settings).values(owner=owner, **row))
    await feed_change(db, names.settings(owner), KIND, revision)


async def features_of(db: AsyncConnection, owner: str) -> frozenset[int]:
    return frozenset((await read(db, owner)).features)
