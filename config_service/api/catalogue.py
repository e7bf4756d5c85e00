"""
The methods of `ConfigService` on what every owner may know: event types, egress ranges.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from config_service.rules.errors import EventTypeNotFound
from service_runtime.rpc import names
from service_runtime.rpc.paging import PageTokens, page_size
from shipedge.webhooks.catalogue import CATALOGUE, EventType
from shipedge.webhooks.config.v1 import config_service_pb2, event_type_pb2
from shipedge.webhooks.payload_contracts import compact, published

if TYPE_CHECKING:
    import grpc

    Context = grpc.aio.ServicerContext[Any, Any]


class CatalogueMethods:
    """
    Shows the event types, with the contracts of their payloads, and the egress ranges.
    """

    _tokens: PageTokens
    _egress_ranges: tuple[str, ...]

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
            event_types=map(event_type_message, event_types[start:end]),
            next_page_token=self._tokens.make([end] if end < len(event_types) else None, request),
        )

    async def GetEventType(
        self, request: config_service_pb2.GetEventTypeRequest, context: Context
    ) -> event_type_pb2.EventType:
        """
        Return an event type with the schemas and examples of its payload versions.
        """
        wanted = names.parse("event_type", request.name).id
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
        Return the CIDR blocks from which deliveries are sent, for the firewalls of receivers.
        """
        return config_service_pb2.GetEgressRangesResponse(ranges=self._egress_ranges)


def event_type_message(event_type: EventType) -> event_type_pb2.EventType:
    """
    Convert an event type of the catalogue, without schemas and examples.
    """
    message = event_type_pb2.EventType(
        name=names.event_type(event_type.event_type),
        type=event_type.event_type,
        title=event_type.title,
        description=event_type.description,
        recommended_version=event_type.recommended_version,
        warehouse=event_type.warehouse,
        domain_events=event_type.domain_events,
    )
    message.group = event_type.group  # type: ignore[assignment]
    message.feature = event_type.feature  # type: ignore[assignment]
    for version in event_type.payload_versions:
        topic = CATALOGUE.topic(event_type.event_type, version)
        message.payload_versions.add(version=version, topic=topic)
    if event_type.filter_kind:
        message.filter.kind = event_type.filter_kind  # type: ignore[assignment]
        message.filter.presence = event_type.filter_presence  # type: ignore[assignment]
    return message
