"""
`attempts`: the webhook log, request by request.
"""

from __future__ import annotations

from itertools import islice
from typing import Annotated, Final

import typer

from shipedge.webhooks.dispatch.v1 import delivery_service_pb2 as pb
from webhooksctl.options.flags import Limit, Output, Owner
from webhooksctl.options.groups import Given, takes
from webhooksctl.options.log_flags import ATTEMPTS, WATCHED, attempt_filter
from webhooksctl.options.session import Session, owner_name_of, session_of, understood
from webhooksctl.options.streams import watched
from webhooksctl.output.formats import Format, show_list, show_message, write_line, write_row
from webhooksctl.rpc.names import all_deliveries, attempt_name
from webhooksctl.words.failures import CommandError

app = typer.Typer(no_args_is_help=True, help="The webhook log, request by request.")

OF_DELIVERY: Final = (
    ("No", "number"),
    ("Started", "start_time"),
    ("Trigger", "trigger"),
    ("Status", "status"),
    ("Code", "response_code"),
    ("Took", "duration"),
    ("Next", "next_attempt_time"),
    ("Error", "error"),
)

COLUMNS: Final = (
    ("Id", "name"),
    ("Started", "start_time"),
    ("Event", "event_type"),
    ("Status", "status"),
    ("Code", "response_code"),
    ("Took", "duration"),
    ("Url", "url"),
    ("Error", "error"),
)


@app.command("list")
@takes(ATTEMPTS)
def list_attempts(
    ctx: typer.Context,
    *,
    given: Given,
    owner: Owner = "",
    delivery: Annotated[str, typer.Option("--delivery", help="Only of this one.")] = "-",
    limit: Limit = 50,
    output: Output = Format.TABLE,
) -> None:
    """
    List attempts, newest first; without --since those of the last 7 days.
    """
    session = session_of(ctx)
    parent = session.owner(owner)
    of = all_deliveries(parent)
    if delivery != "-":
        of = session.name("deliveries", parent, delivery)
    request = pb.ListAttemptsRequest(parent=of, filter=attempts_filter(session, given, parent))
    found = session.found(session.services.deliveries.ListAttempts, request, limit)
    show_list(found, COLUMNS, output, parent)


@app.command("get")
def get(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="dlv_7f3a/1, or a name.")],
    *,
    owner: Owner = "",
    output: Output = Format.TABLE,
) -> None:
    """
    Show an attempt with its phases, its request and its response.
    """
    session = session_of(ctx)
    given = owner or session.profile.owner
    parent = owner_name_of(given) if given else ""
    full = understood("attempt", lambda text: attempt_name(parent, text), name)
    request = pb.GetAttemptRequest(name=full)
    show_message(session.services.deliveries.GetAttempt(request), output)


@app.command("tail")
@takes(WATCHED)
def tail(
    ctx: typer.Context,
    *,
    given: Given,
    owner: Owner = "",
    count: Annotated[int, typer.Option("--count", min=0, help="End after so many; 0: never.")] = 0,
    output: Output = Format.TABLE,
) -> None:
    """
    Show attempts as they end, until Ctrl-C. -o json writes a line for each.
    """
    session = session_of(ctx)
    parent = session.owner(owner)
    request = pb.WatchAttemptsRequest(parent=parent, filter=attempts_filter(session, given, parent))
    answers = watched(session.services.deliveries.WatchAttempts, request)
    ended = (attempt for answer in answers for attempt in answer.attempts)
    for attempt in islice(ended, count or None):
        if output is Format.TABLE:
            write_row(attempt, COLUMNS, parent)
        else:
            write_line(attempt, output)


def attempts_filter(session: Session, given: Given, owner: str) -> str:
    """
    Return the filter of attempts that flags give. Raises `CommandError`.
    """
    try:
        return attempt_filter(
            given, session.clock(), lambda text: session.name("subscriptions", owner, text)
        )
    except ValueError as refused:
        raise CommandError(str(refused)) from refused
