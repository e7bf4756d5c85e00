"""
`event-types`: the catalogue.
"""

from __future__ import annotations

import json
from typing import Annotated, Final

import typer

from shipedge.webhooks.config.v1 import config_service_pb2 as pb
from shipedge.webhooks.config.v1.event_type_pb2 import EventType, PayloadVersion
from webhooksctl.options import flags
from webhooksctl.options.flags import Output
from webhooksctl.options.session import Session, session_of
from webhooksctl.output.formats import Format, show_list, show_message, write
from webhooksctl.rpc.names import event_type_name
from webhooksctl.words.failures import CommandError

app = typer.Typer(no_args_is_help=True, help="What can be subscribed to.")

Version = Annotated[str, typer.Option("--version", help="v2, say; empty: the recommended one.")]

COLUMNS: Final = (
    ("Event", "type"),
    ("Title", "title"),
    ("Group", "group"),
    ("Versions", "payload_versions.version"),
    ("Filter", "filter.kind"),
    ("For warehouses", "warehouse"),
)


@app.command("list")
def list_event_types(ctx: typer.Context, *, output: Output = Format.TABLE) -> None:
    """
    List all event types with their versions.
    """
    session = session_of(ctx)
    request = pb.ListEventTypesRequest()
    found = session.found(session.services.config.ListEventTypes, request, limit=0)
    show_list(found, COLUMNS, output)


@app.command("get")
def get(ctx: typer.Context, event_type: flags.EventType, *, output: Output = Format.TABLE) -> None:
    """
    Show an event type. Its schemas and examples are in -o json and yaml.
    """
    found = event_type_of(session_of(ctx), event_type)
    if output is Format.TABLE:
        for version in found.payload_versions:
            version.ClearField("json_schema")
            version.ClearField("example")
    show_message(found, output)


@app.command("example")
def example(ctx: typer.Context, event_type: flags.EventType, *, version: Version = "") -> None:
    """
    Print the example of a payload, in JSON.
    """
    found = _version_of(event_type_of(session_of(ctx), event_type), version)
    write(json.loads(found.example), Format.JSON)


@app.command("schema")
def schema(ctx: typer.Context, event_type: flags.EventType, *, version: Version = "") -> None:
    """
    Print the JSON Schema of a payload.
    """
    found = _version_of(event_type_of(session_of(ctx), event_type), version)
    write(json.loads(found.json_schema), Format.JSON)


def event_type_of(session: Session, event_type: str) -> EventType:
    """
    Return an event type with its schemas and examples.
    """
    request = pb.GetEventTypeRequest(name=event_type_name(event_type))
    return session.services.config.GetEventType(request)


def _version_of(event_type: EventType, version: str) -> PayloadVersion:
    wanted = version or event_type.recommended_version
    for each in event_type.payload_versions:
        if each.version == wanted:
            return each
    there = ", ".join(each.version for each in event_type.payload_versions)
    raise CommandError(f"--version: {event_type.type} has no {wanted}; there are {there}")
