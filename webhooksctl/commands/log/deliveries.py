"""
`deliveries`: what became of events, webhook by webhook.
"""

from __future__ import annotations

import sys
from typing import Annotated, Final

import typer

from shipedge.webhooks.dispatch.v1 import delivery_service_pb2 as pb
from shipedge.webhooks.dispatch.v1.delivery_pb2 import Delivery
from shipedge.webhooks.dispatch.v1.payload_service_pb2 import ExplainEventRequest
from webhooksctl.commands.log.attempts import OF_DELIVERY
from webhooksctl.commands.log.events import EXPLANATION
from webhooksctl.options.flags import Limit, Output, Owner, Yes
from webhooksctl.options.groups import Given, takes
from webhooksctl.options.log_flags import DELIVERIES, delivery_filter
from webhooksctl.options.session import Session, confirm, session_of
from webhooksctl.output.formats import Format, plain, show_list, show_message, write
from webhooksctl.words.failures import CommandError

app = typer.Typer(no_args_is_help=True, help="What became of events, webhook by webhook.")

Name = Annotated[str, typer.Argument(help="Id or name of a delivery.")]

COLUMNS: Final = (
    ("Id", "name"),
    ("Created", "create_time"),
    ("Event", "event_type"),
    ("Version", "payload_version"),
    ("State", "state"),
    ("Attempts", "attempt_count"),
    ("Failure", "failure_kind"),
    ("Code", "response_code"),
    ("Resource", "resource"),
    ("Url", "url"),
)


def filter_of(session: Session, given: Given, owner: str) -> str:
    """
    Return the filter that flags make. Raises `CommandError`.
    """
    try:
        return delivery_filter(
            given, session.clock(), lambda text: session.name("subscriptions", owner, text)
        )
    except ValueError as refused:
        raise CommandError(str(refused)) from refused


@app.command("list")
@takes(DELIVERIES)
def list_deliveries(
    ctx: typer.Context,
    *,
    given: Given,
    owner: Owner = "",
    limit: Limit = 50,
    output: Output = Format.TABLE,
) -> None:
    """
    List deliveries, newest first; without --since those of the last 7 days.
    """
    session = session_of(ctx)
    parent = session.owner(owner)
    request = pb.ListDeliveriesRequest(parent=parent, filter=filter_of(session, given, parent))
    found = session.found(session.services.deliveries.ListDeliveries, request, limit)
    show_list(found, COLUMNS, output, parent)


@app.command("get")
def get(
    ctx: typer.Context, name: Name, *, owner: Owner = "", output: Output = Format.TABLE
) -> None:
    """
    Show a delivery, and why it waits.
    """
    show_message(delivery_of(session_of(ctx), owner, name), output)


@app.command("body")
def body(ctx: typer.Context, name: Name, *, owner: Owner = "") -> None:
    """
    Print the payload, to the byte.
    """
    session = session_of(ctx)
    request = pb.GetDeliveryBodyRequest(name=session.name("deliveries", owner, name))
    sys.stdout.buffer.write(session.services.deliveries.GetDeliveryBody(request).body)
    sys.stdout.buffer.flush()


@app.command("explain")
def explain(
    ctx: typer.Context, name: Name, *, owner: Owner = "", output: Output = Format.TABLE
) -> None:
    """
    Say what became of a delivery and why, with all its attempts.
    """
    session = session_of(ctx)
    delivery = delivery_of(session, owner, name)
    request = ExplainEventRequest(name=delivery.event, subscription=delivery.subscription)
    explanations = list(session.services.payloads.ExplainEvent(request).explanations)
    attempts = list(
        session.found(
            session.services.deliveries.ListAttempts,
            pb.ListAttemptsRequest(parent=delivery.name),
            limit=0,
        )
    )
    if output is Format.TABLE:
        show_list(explanations, EXPLANATION, output)
        show_list(attempts, OF_DELIVERY, output)
        return
    write(
        {
            "delivery": plain(delivery),
            "explanations": [plain(it) for it in explanations],
            "attempts": [plain(it) for it in attempts],
        },
        output,
    )


@app.command("cancel")
def cancel(
    ctx: typer.Context,
    name: Name,
    *,
    owner: Owner = "",
    yes: Yes = False,
    output: Output = Format.TABLE,
) -> None:
    """
    Cancel a delivery; an attempt that is being made is not interrupted.
    """
    session = session_of(ctx)
    full = session.name("deliveries", owner, name)
    confirm(f"Cancel {full}?", yes=yes)
    show_message(
        session.services.deliveries.CancelDelivery(pb.CancelDeliveryRequest(name=full)), output
    )


def delivery_of(session: Session, owner: str, text: str) -> Delivery:
    """
    Return a delivery by id or name.
    """
    name = session.name("deliveries", owner, text)
    return session.services.deliveries.GetDelivery(pb.GetDeliveryRequest(name=name))
