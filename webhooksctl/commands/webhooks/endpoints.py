"""
`endpoints`: what is observed of the endpoints of webhooks.
"""

from __future__ import annotations

from itertools import islice
from typing import Annotated, Final

import typer

from shipedge.webhooks.config.v1.config_service_pb2 import (
    ListEndpointEventsRequest,
    WatchEndpointEventsRequest,
)
from webhooksctl.options.flags import Limit, Output, Owner
from webhooksctl.options.groups import Given, takes
from webhooksctl.options.log_flags import ENDPOINT_EVENTS, endpoint_event_filter
from webhooksctl.options.session import session_of
from webhooksctl.options.streams import watched
from webhooksctl.output.formats import Format, show_list, write_line, write_row
from webhooksctl.words.failures import CommandError

app = typer.Typer(no_args_is_help=True, help="What is observed of the endpoints of webhooks.")

_COLUMNS: Final = (
    ("Observed", "occur_time"),
    ("Subscription", "subscription"),
    ("What", "kind"),
    ("Failure", "failure_kind"),
    ("Code", "response_code"),
)


@app.command("list")
@takes(ENDPOINT_EVENTS)
def list_observed(
    ctx: typer.Context,
    *,
    given: Given,
    owner: Owner = "",
    limit: Limit = 50,
    output: Output = Format.TABLE,
) -> None:
    """
    List what was observed, newest first.
    """
    session = session_of(ctx)
    parent = session.owner(owner)
    try:
        chosen = endpoint_event_filter(
            given, session.clock(), lambda text: session.name("subscriptions", parent, text)
        )
    except ValueError as refused:
        raise CommandError(str(refused)) from refused
    request = ListEndpointEventsRequest(parent=parent, filter=chosen)
    found = session.found(session.services.config.ListEndpointEvents, request, limit)
    show_list(found, _COLUMNS, output, parent)


@app.command("tail")
def tail(
    ctx: typer.Context,
    *,
    owner: Owner = "",
    count: Annotated[int, typer.Option("--count", min=0, help="End after so many; 0: never.")] = 0,
    output: Output = Format.TABLE,
) -> None:
    """
    Show what is observed, from the oldest on that is known: failing, recovered, gone, skipped.
    """
    session = session_of(ctx)
    parent = session.owner(owner)
    request = WatchEndpointEventsRequest(parent=parent)
    answers = watched(session.services.config.WatchEndpointEvents, request)
    observed = (each for answer in answers for each in answer.endpoint_events)
    for each in islice(observed, count or None):
        if output is Format.TABLE:
            write_row(each, _COLUMNS, parent)
        else:
            write_line(each, output)
