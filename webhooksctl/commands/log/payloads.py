"""
`preview` and `diff`: what is sent for an event, version by version.
"""

from __future__ import annotations

import sys
from typing import Annotated, Final

import typer
from google.protobuf.json_format import Parse, ParseError

from shipedge.webhooks.dispatch.v1 import payload_service_pb2 as pb
from shipedge.webhooks.dispatch.v1.delivery_service_pb2 import GetEventRequest
from shipedge.webhooks.events.v1.event_pb2 import Event
from webhooksctl.commands.webhooks.event_types import event_type_of
from webhooksctl.options.flags import EventType, Output, Owner
from webhooksctl.options.secrets import content
from webhooksctl.options.session import Session, session_of
from webhooksctl.output.formats import Format, show_list, show_message
from webhooksctl.samples.events import sample
from webhooksctl.words.failures import CommandError

Name = Annotated[str, typer.Option("--event", help="The id or name of an event that was accepted.")]
File = Annotated[str, typer.Option("--file", help="A file with an event, as protobuf's JSON.")]

_DIFFERENCES: Final = (
    ("Change", "kind"),
    ("From", "from_path"),
    ("To", "to_path"),
    ("Type before", "from_type"),
    ("Type after", "to_type"),
    ("Value before", "from_value"),
    ("Value after", "to_value"),
)


def preview(
    ctx: typer.Context,
    event_type: EventType,
    *,
    version: Annotated[str, typer.Option("--version", help="Empty: the recommended one.")] = "",
    event: Name = "",
    file: File = "",
    owner: Owner = "",
    output: Annotated[
        Format | None, typer.Option("--output", "-o", help="Instead of the payload, the answer.")
    ] = None,
) -> None:
    """
    Print the payload of an event, to the byte: of the sample, unless one is named.
    """
    session = session_of(ctx)
    request = pb.PreviewPayloadRequest(
        event=_event(session, event, file, owner) or _sample(event_type),
        event_type=event_type,
        payload_version=version or event_type_of(session, event_type).recommended_version,
    )
    answer = session.services.payloads.PreviewPayload(request)
    if output is None:
        sys.stdout.buffer.write(answer.body + b"\n")
        sys.stdout.buffer.flush()
    else:
        show_message(answer, output)


def diff(
    ctx: typer.Context,
    event_type: EventType,
    from_version: Annotated[str, typer.Argument(help="The version that a receiver knows: v2.")],
    to_version: Annotated[str, typer.Argument(help="The version that it moves to: v3.")],
    *,
    event: Name = "",
    file: File = "",
    owner: Owner = "",
    output: Output = Format.TABLE,
) -> None:
    """
    Show what changes for a receiver that moves to another payload version.
    """
    session = session_of(ctx)
    request = pb.DiffPayloadVersionsRequest(
        event=_event(session, event, file, owner),
        event_type=event_type,
        from_version=from_version,
        to_version=to_version,
    )
    answer = session.services.payloads.DiffPayloadVersions(request)
    if output is Format.TABLE:
        show_list(answer.differences, _DIFFERENCES, output)
    else:
        show_message(answer, output)


def event_in(file: str) -> Event:
    """
    Return the event in a file. Raises `CommandError`.
    """
    try:
        return Parse(content(file), Event())
    except (ParseError, UnicodeDecodeError) as refused:
        raise CommandError(f"--file: {file} is no event: {refused}") from refused


def _event(session: Session, name: str, file: str, owner: str) -> Event | None:
    """
    Return the event that a flag names, `None` if there is none. Raises `CommandError`.
    """
    if name and file:
        raise CommandError("give --event or --file, not both")
    if file:
        return event_in(file)
    if name:
        request = GetEventRequest(name=session.name("events", owner, name))
        found = session.services.deliveries.GetEvent(request)
        if not found.HasField("content"):
            raise CommandError("the content of the event is not shown: erased, or you are a reader")
        return found.content
    return None


def _sample(event_type: str) -> Event:
    try:
        return sample(event_type)
    except LookupError as refused:
        raise CommandError(str(refused.args[0])) from refused
