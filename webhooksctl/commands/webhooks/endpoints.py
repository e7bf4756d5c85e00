"""
`endpoints`: what is observed of the endpoints of webhooks.
"""

from __future__ import annotations

from itertools import islice
from typing import Annotated, Final

import typer

from shipedge.webhooks.config.v1.config_service_pb2 import WatchEndpointEventsRequest
from webhooksctl.options.flags import Output, Owner
from webhooksctl.options.session import session_of
from webhooksctl.options.streams import followed
from webhooksctl.output.formats import Format, write_line, write_row

app = typer.Typer(no_args_is_help=True, help="What is observed of the endpoints of webhooks.")

_COLUMNS: Final = (
    ("Observed", "occur_time"),
    ("Subscription", "subscription"),
    ("What", "kind"),
    ("Failure", "failure_kind"),
    ("Code", "response_code"),
)


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
    answers = followed(session.services.config.WatchEndpointEvents, request)
    observed = (each for answer in answers for each in answer.endpoint_events)
    for each in islice(observed, count or None):
        if output is Format.TABLE:
            write_row(each, _COLUMNS, parent)
        else:
            write_line(each, output)
