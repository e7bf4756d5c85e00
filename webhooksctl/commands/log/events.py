"""
`events`: what happened in the OMS, and what became of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

import typer

from shipedge.webhooks.dispatch.v1 import delivery_service_pb2 as pb
from shipedge.webhooks.dispatch.v1.accepted_event_pb2 import Event
from shipedge.webhooks.dispatch.v1.delivery_pb2 import Delivery
from shipedge.webhooks.dispatch.v1.payload_service_pb2 import ExplainEventRequest, Explanation
from webhooksctl.options.flags import Limit, Output, Owner
from webhooksctl.options.groups import Flag, Given, takes
from webhooksctl.options.log_flags import TIMES
from webhooksctl.options.session import session_of
from webhooksctl.output.formats import (
    Columns,
    Format,
    plain,
    row_of,
    show_list,
    show_message,
    show_rows,
    write,
)
from webhooksctl.rpc.names import is_wildcard
from webhooksctl.words import filters
from webhooksctl.words.failures import CommandError
from webhooksctl.words.values import word_of

app = typer.Typer(no_args_is_help=True, help="What happened in the OMS, and what became of it.")

Name = Annotated[str, typer.Argument(help="The id or name of an event.")]

_COLUMNS: Final = (
    ("Id", "name"),
    ("Accepted", "accept_time"),
    ("Kind", "kind"),
    ("Resource", "resource"),
    ("Raised", "event_types"),
)

EXPLANATION: Final = (
    ("Verdict", "verdict"),
    ("Subscription", "subscription"),
    ("Delivery", "delivery"),
    ("Why", "detail"),
)

_FLAGS: Final = (
    Flag("order_number", "The number of an order, or of a return's order: SO-1001."),
    Flag("order", "The id of an order: 12345."),
    Flag("kind", "What it says: order_status_changed, for example."),
    Flag("unwanted", "Only those without deliveries.", bool, default=False),
    *TIMES,
    Flag("filter", "More comparisons, as the API reads them."),
)


@app.command("list")
@takes(_FLAGS)
def list_events(
    ctx: typer.Context,
    *,
    given: Given,
    owner: Owner = "",
    limit: Limit = 50,
    output: Output = Format.TABLE,
) -> None:
    """
    List events, newest first: by the number of an order, say. Without it those of 7 days.
    """
    session = session_of(ctx)
    parent = session.owner(owner)
    try:
        parts = filters.between("accept_time", given["since"], given["until"], session.clock())
    except ValueError as refused:
        raise CommandError(str(refused)) from refused
    parts += filters.equal(
        {
            "order_number": given["order_number"],
            "resource": given["order"] and f"orders/{given['order'].removeprefix('orders/')}",
            "kind": given["kind"],
        }
    )
    parts += ["has_deliveries = false"] * given["unwanted"]
    request = pb.ListEventsRequest(parent=parent, filter=filters.joined(parts, given["filter"]))
    found = list(session.found(session.services.deliveries.ListEvents, request, limit))
    _show(found, output, parent)


@app.command("get")
def get(
    ctx: typer.Context, name: Name, *, owner: Owner = "", output: Output = Format.TABLE
) -> None:
    """
    Show an event, with its content to operators and admins.
    """
    session = session_of(ctx)
    request = pb.GetEventRequest(name=session.name("events", owner, name))
    show_message(session.services.deliveries.GetEvent(request), output)


@app.command("explain")
def explain(
    ctx: typer.Context,
    name: Name,
    *,
    owner: Owner = "",
    subscription: Annotated[str, typer.Option("--subscription", help="Only this one.")] = "",
    output: Output = Format.TABLE,
) -> None:
    """
    Say for each subscription what became of an event, and why.
    """
    session = session_of(ctx)
    request = ExplainEventRequest(name=session.name("events", owner, name))
    if subscription:
        request.subscription = session.name("subscriptions", owner, subscription)
    explanations: list[Explanation] = []
    while True:
        answer = session.services.payloads.ExplainEvent(request)
        explanations += answer.explanations
        if not answer.next_page_token:
            break
        request.page_token = answer.next_page_token
    show_list(explanations, EXPLANATION, output)


def _show(events: Sequence[Event], output: Format, owner: str) -> None:
    if output is not Format.TABLE:
        write([plain(it) for it in events], output)
        return
    first = "Name" if is_wildcard(owner) else "Id"
    columns = ((first, "name"), *_COLUMNS[1:])
    titles = ["Deliveries" if title == "Raised" else title for title, _ in columns]
    show_rows([*titles, "Raised"], [_row(it, columns) for it in events])


def _row(event: Event, columns: Columns) -> list[str]:
    *first, raised = row_of(event, columns)
    return [*first, _counts(event), raised]


def _counts(event: Event) -> str:
    if event.match_pending:
        return "not matched yet"
    states = Delivery.State.DESCRIPTOR
    counts = (f"{it.count} {word_of(states, it.state)}" for it in event.delivery_counts)
    return ", ".join(counts) or "none"
