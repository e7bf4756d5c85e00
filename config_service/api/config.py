"""
The configuration over the wire: subscriptions are in `subscription_methods`,
what they refer to in `credential_methods`, the rest is here.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any

from config_service.api.credentials import CredentialMethods
from config_service.api.feed import ChangeNotifier, wait
from config_service.api.subscriptions import Store
from config_service.rules import account_settings
from config_service.rules.errors import EtagMismatch, EventTypeNotFound
from config_service.store import endpoint_feed, settings_store
from config_service.store.changes import audit, differences, shown_fields
from service_runtime.database.engine import reading, writing
from service_runtime.rpc import masks, names
from service_runtime.rpc.callers import current_caller
from service_runtime.rpc.paging import PageTokens, page_size
from service_runtime.rpc.shielded import shielded
from shipedge.webhooks.catalogue import CATALOGUE, EventType
from shipedge.webhooks.config.v1 import (
    account_settings_pb2,
    config_service_pb2,
    event_type_pb2,
)
from shipedge.webhooks.config.v1.endpoint_event_pb2 import EndpointEvent
from shipedge.webhooks.payload_contracts import compact, published

if TYPE_CHECKING:
    import grpc

    Context = grpc.aio.ServicerContext[Any, Any]


class ConfigServicer(CredentialMethods):
    """
    Serves `ConfigService`.

    Watchers are woken by *notifier*, look every *poll_seconds* for what other
    processes did, and get a sign of life every *heartbeat_seconds*.
    """

    def __init__(
        self,
        store: Store,
        tokens: PageTokens,
        egress_ranges: tuple[str, ...],
        *,
        notifier: ChangeNotifier,
        poll_seconds: float,
        heartbeat_seconds: float,
    ) -> None:
        super().__init__(store, tokens)
        self._egress_ranges = egress_ranges
        self._notifier = notifier
        self._poll_seconds = poll_seconds
        self._heartbeat_seconds = heartbeat_seconds

    async def GetAccountSettings(
        self, request: config_service_pb2.GetAccountSettingsRequest, context: Context
    ) -> account_settings_pb2.AccountSettings:
        """
        Return what holds for all of an owner.
        """
        owner = names.parse("settings", request.name).owner
        async with reading(self._store.engine) as db:
            return await settings_store.read(db, owner)

    async def UpdateAccountSettings(
        self, request: config_service_pb2.UpdateAccountSettingsRequest, context: Context
    ) -> account_settings_pb2.AccountSettings:
        """
        Change what holds for all of an owner.
        """
        owner = names.parse("settings", request.settings.name, "settings.name").owner
        fields = masks.masked_fields(request.settings, request.update_mask)
        async with writing(self._store.engine) as db:
            before = await settings_store.read(db, owner)
            if request.settings.etag and request.settings.etag != before.etag:
                raise EtagMismatch(request.settings.name)
            after = masks.merged(before, request.settings, fields)
            account_settings.check(after)
            await settings_store.write(db, owner, after)
            await audit(
                db,
                caller=current_caller.get().name,
                method="UpdateAccountSettings",
                resource=names.settings(owner),
                owner=owner,
                changes=differences(shown_fields(before), shown_fields(after), frozenset()),
            )
            changed = await settings_store.read(db, owner)
        self._store.changed()
        return changed

    async def ListEventTypes(
        self, request: config_service_pb2.ListEventTypesRequest, context: Context
    ) -> config_service_pb2.ListEventTypesResponse:
        """
        List the event types, without schemas and examples.
        """
        size = page_size(request.page_size)
        key = self._tokens.read(request.page_token, request)
        start = int(key[0]) if key else 0
        event_types = list(CATALOGUE.event_types.values())
        end = start + size
        return config_service_pb2.ListEventTypesResponse(
            event_types=[event_type_message(it) for it in event_types[start:end]],
            next_page_token=(self._tokens.make([end], request) if end < len(event_types) else ""),
        )

    async def GetEventType(
        self, request: config_service_pb2.GetEventTypeRequest, context: Context
    ) -> event_type_pb2.EventType:
        """
        Return an event type with the schemas and examples of its payload versions.
        """
        wanted = names.parse("event_type", request.name).id.replace(".", "/")
        event_type = CATALOGUE.event_types.get(wanted)
        if event_type is None:
            raise EventTypeNotFound(request.name)
        message = event_type_message(event_type)
        contracts = published(event_type.event_type)
        for version in message.payload_versions:
            version.json_schema = compact(contracts[version.version].json_schema)
            version.example = compact(contracts[version.version].example)
        return message

    async def GetEgressRanges(
        self, request: config_service_pb2.GetEgressRangesRequest, context: Context
    ) -> config_service_pb2.GetEgressRangesResponse:
        """
        Return the addresses that deliveries come from.
        """
        return config_service_pb2.GetEgressRangesResponse(ranges=self._egress_ranges)

    async def WatchEndpointEvents(
        self, request: config_service_pb2.WatchEndpointEventsRequest, context: Context
    ) -> AsyncIterator[config_service_pb2.WatchEndpointEventsResponse]:
        """
        Stream what is learnt about the endpoints of an owner.
        """
        owner = names.parse_owner(request.parent)
        if request.cursor:
            revision = endpoint_feed.parse_cursor(request.cursor)
        else:
            revision = await shielded(self._newest())
        spoke = time.monotonic() - self._heartbeat_seconds
        while True:
            changed = self._notifier.next_change()
            events, revision = await shielded(self._events_after(owner, revision))
            if events or time.monotonic() - spoke >= self._heartbeat_seconds:
                yield config_service_pb2.WatchEndpointEventsResponse(
                    endpoint_events=events, cursor=endpoint_feed.cursor(revision)
                )
                spoke = time.monotonic()
            if len(events) < endpoint_feed.BATCH:
                await wait(changed, self._poll_seconds)

    async def _newest(self) -> int:
        async with reading(self._store.engine) as db:
            return await endpoint_feed.newest(db)

    async def _events_after(self, owner: str, revision: int) -> tuple[Sequence[EndpointEvent], int]:
        async with reading(self._store.engine) as db:
            return await endpoint_feed.after(db, owner, revision)


def event_type_message(event_type: EventType) -> event_type_pb2.EventType:
    """
    Show an event type of the catalogue.
    """
    message = event_type_pb2.EventType(
        name=names.event_type(event_type.resource_id),
        event_type=event_type.event_type,
        title=event_type.title,
        description=event_type.description,
        recommended_version=event_type.recommended_version,
        warehouse=event_type.warehouse,
        domain_events=event_type.domain_events,
    )
    message.group = event_type.group  # type: ignore[assignment]
    message.feature = event_type.feature  # type: ignore[assignment]
    for version in event_type.payload_versions:
        wire_name = CATALOGUE.wire_name(event_type.event_type, version)
        message.payload_versions.add(version=version, wire_name=wire_name)
    if event_type.filter_kind:
        message.filter.kind = event_type.filter_kind  # type: ignore[assignment]
        message.filter.presence = event_type.filter_presence  # type: ignore[assignment]
    return message
