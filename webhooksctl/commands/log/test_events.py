"""
`test`: test events to one webhook.
"""

from __future__ import annotations

import time
from typing import Annotated, Final

import typer

from shipedge.webhooks.dispatch.v1 import delivery_service_pb2 as pb
from shipedge.webhooks.dispatch.v1.delivery_pb2 import Delivery
from shipedge.webhooks.dispatch.v1.payload_service_pb2 import SendTestEventRequest
from webhooksctl.commands.log.attempts import OF_DELIVERY
from webhooksctl.commands.log.payloads import File, Name, event_in
from webhooksctl.commands.webhooks.subscriptions import subscription
from webhooksctl.options.flags import Output, Owner, Yes
from webhooksctl.options.session import Session, confirm, session_of
from webhooksctl.output.formats import Format, plain, show_list, show_message, write
from webhooksctl.words.failures import REFUSED, CommandError

app = typer.Typer(no_args_is_help=True, help="Test events to one webhook.")

POLL_SECONDS: Final = 0.2
WAIT_SECONDS: Final = 15.0
"""
A test is attempted once, for 10 seconds at most.
"""

_UNFINISHED: Final = (Delivery.STATE_PENDING, Delivery.STATE_DELIVERING)


@app.command("send")
def send(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="Id or name of a subscription.")],
    *,
    owner: Owner = "",
    event: Name = "",
    file: File = "",
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="For the answer.")] = True,
    yes: Yes = False,
    output: Output = Format.TABLE,
) -> None:
    """
    Send the sample, unless an event is named, marked as a test, and show what was answered. Exits
    with 1 if it failed.
    """
    session = session_of(ctx)
    if event and file:
        raise CommandError("give --event or --file, not both")
    found = subscription(session, owner, name)
    confirm(f"Send 1 test event, {found.event_type} to {found.url}?", yes=yes)
    request = SendTestEventRequest(subscription=found.name)
    if file:
        request.event.CopyFrom(event_in(file))
    elif event:
        request.accepted_event = session.name("events", owner, event)
    delivery = session.services.payloads.SendTestEvent(request).delivery
    if not wait:
        show_message(_get(session, delivery), output)
        return
    ended = _ended(session, delivery)
    attempts = session.services.deliveries.ListAttempts(pb.ListAttemptsRequest(parent=delivery))
    if output is Format.TABLE:
        show_list(attempts.attempts, (("Id", "name"), *OF_DELIVERY[1:]), output)
    else:
        write(
            {"delivery": plain(ended), "attempts": [plain(it) for it in attempts.attempts]}, output
        )
    if ended.state != Delivery.STATE_SUCCEEDED:
        raise typer.Exit(REFUSED)


def _ended(session: Session, name: str) -> Delivery:
    """
    Return a delivery at its end, or as it is when that takes too long.
    """
    until = time.monotonic() + WAIT_SECONDS
    while True:
        found = _get(session, name)
        if found.state not in _UNFINISHED or time.monotonic() > until:
            return found
        time.sleep(POLL_SECONDS)


def _get(session: Session, name: str) -> Delivery:
    return session.services.deliveries.GetDelivery(pb.GetDeliveryRequest(name=name))
