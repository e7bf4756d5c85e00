"""
The event catalogue: every event type with its payloads, and what changes between versions.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from console.pages.paths import may_of, owner_of, services_of
from console.rpc.names import event_name, event_type_name
from console.rpc.services import Services, answer
from console.web.rendering import indented, page
from console.words.groups import titled
from shipedge.webhooks.client.errors import ApiError
from shipedge.webhooks.config.v1.config_service_pb2 import GetEventTypeRequest
from shipedge.webhooks.config.v1.event_type_pb2 import EventType, PayloadVersion
from shipedge.webhooks.dispatch.v1.delivery_service_pb2 import GetEventRequest
from shipedge.webhooks.dispatch.v1.payload_service_pb2 import (
    DiffPayloadVersionsRequest,
    DiffPayloadVersionsResponse,
    FieldDifference,
)

KINDS = {
    FieldDifference.KIND_ADDED: "added",
    FieldDifference.KIND_REMOVED: "removed",
    FieldDifference.KIND_RENAMED: "elsewhere",
    FieldDifference.KIND_RETYPED: "another type",
}


async def show_list(request: Request) -> Response:
    """
    Show all event types in their groups.
    """
    owner_of(request)
    groups = titled(await services_of(request).event_types())
    return page(request, "catalogue.html", groups=groups)


async def show(request: Request) -> Response:
    """
    Show one event type in the version `to`, and what changes from the version `from` to it, on
    the event `event` or on the example.
    """
    services, query = services_of(request), request.query_params
    get = GetEventTypeRequest(name=event_type_name(request.path_params["event_type"]))
    event_type = await answer(services.config.GetEventType(get))
    shown = version_of(event_type, query.get("to", "") or event_type.recommended_version)
    before = version_of(event_type, query.get("from", "")).version
    owner, event = owner_of(request), query.get("event", "")
    found, problem = None, ""
    if before and before != shown.version and may_of(request).operate:
        try:
            asked = await _asked(services, event_name(owner, event) if event else "", event_type)
            asked.from_version, asked.to_version = before, shown.version
            found = await answer(services.payloads.DiffPayloadVersions(asked))
        except ApiError as refused:
            # Not an event of this type: the rest is shown all the same.
            problem = refused.message
    return _shown(request, event_type, shown, before, found, problem)


def _shown(
    request: Request,
    event_type: EventType,
    shown: PayloadVersion,
    before: str,
    found: DiffPayloadVersionsResponse | None,
    problem: str,
) -> Response:
    return page(
        request,
        "event_type.html",
        event_type=event_type,
        shown=shown.version,
        before=before,
        event=request.query_params.get("event", ""),
        difference=found,
        kinds=KINDS,
        problem=problem,
        example=indented(found.to_text if found else shown.example),
        earlier=indented(found.from_text) if found else "",
        schema=indented(shown.json_schema),
    )


async def _asked(
    services: Services, name: str, event_type: EventType
) -> DiffPayloadVersionsRequest:
    asked = DiffPayloadVersionsRequest(event_type=event_type.type)
    if name:
        event = await answer(services.deliveries.GetEvent(GetEventRequest(name=name)))
        if event.HasField("content"):
            asked.event.CopyFrom(event.content)
    return asked


def version_of(event_type: EventType, version: str) -> PayloadVersion:
    """
    Return a version of an event type, an empty one if there is no such version.
    """
    found = [each for each in event_type.payload_versions if each.version == version]
    return found[0] if found else PayloadVersion()
