"""
The methods of `ConfigService` on the settings of owners.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from config_service.rules import owner_settings
from config_service.rules.errors import EtagMismatch
from config_service.store import settings_store
from config_service.store.audit import differences, shown_fields
from config_service.store.changes import changing
from config_service.store.store import Store
from service_runtime.database.engine import reading
from service_runtime.rpc import masks, names
from shipedge.webhooks.config.v1 import config_service_pb2
from shipedge.webhooks.config.v1.owner_settings_pb2 import OwnerSettings

if TYPE_CHECKING:
    import grpc

    Context = grpc.aio.ServicerContext[Any, Any]


class SettingsMethods:
    """
    Reads and changes the settings of accounts and warehouses.
    """

    _store: Store

    async def GetOwnerSettings(
        self, request: config_service_pb2.GetOwnerSettingsRequest, context: Context
    ) -> OwnerSettings:
        """
        Return the settings of an owner: the defaults if none were ever set.
        """
        owner = names.parse("settings", request.name).owner
        async with reading(self._store.engine) as db:
            return await settings_store.read(db, owner)

    async def UpdateOwnerSettings(
        self, request: config_service_pb2.UpdateOwnerSettingsRequest, context: Context
    ) -> OwnerSettings:
        """
        Change the settings that the mask names.
        """
        given = request.settings
        owner = names.parse("settings", given.name, "settings.name").owner
        fields = masks.masked_fields(given, request.update_mask)
        async with changing(self._store.engine) as db:
            before = await settings_store.read(db, owner)
            if given.etag and given.etag != before.etag:
                raise EtagMismatch(given.name)
            after = masks.merged(before, given, fields)
            owner_settings.check(after)
            await settings_store.write(db, owner, after)
            changes = differences(shown_fields(before), shown_fields(after))
            await self._store.audit.record(db, "UpdateOwnerSettings", given.name, changes)
            changed = await settings_store.read(db, owner)
        await self._store.changed()
        return changed
