"""
`trigger`: publish a sample.
"""

from __future__ import annotations

from typing import Annotated, Final
from uuid import uuid4

import typer

from shipedge.webhooks.catalogue import CATALOGUE
from shipedge.webhooks.client.errors import error_of_status
from shipedge.webhooks.config.v1.config_service_pb2 import ListSubscriptionsRequest
from shipedge.webhooks.dispatch.v1.publisher_service_pb2 import PublishEventsRequest
from shipedge.webhooks.events.v1.event_pb2 import Event
from webhooksctl.options.flags import EventType, Output, Owner, Yes
from webhooksctl.options.session import Session, confirm, say, session_of
from webhooksctl.output.formats import Format, show_message
from webhooksctl.rpc.names import account_of, warehouse_name
from webhooksctl.samples.assignments import assign, move
from webhooksctl.samples.events import sample
from webhooksctl.words.failures import CommandError

_RAISED_BY_THE_SERVICE: Final = "endpoint_state_changed"


def trigger(
    ctx: typer.Context,
    event_type: EventType,
    *,
    owner: Owner = "",
    assignments: Annotated[
        list[str] | None, typer.Option("--set", help="order.number=SO-9, repeated.")
    ] = None,
    warehouse: Annotated[
        str, typer.Option("--warehouse", help="Where it happens; without it, in none.")
    ] = "",
    yes: Yes = False,
    output: Output = Format.TABLE,
) -> None:
    """
    Publish a sample event, which is sent to all subscriptions that want it: for trying out.
    """
    session = session_of(ctx)
    parent = session.owner(owner)
    try:
        event = made(event_type, account_of(parent), warehouse, session)
        for each in assignments or ():
            assign(event, each)
    except (LookupError, ValueError) as refused:
        raise CommandError(str(refused.args[0])) from refused
    owners = [parent, *map(warehouse_name, event.warehouses)]
    count = sum(_interested(session, each, event) for each in owners)
    text = f"Publish 1 {event_type} of {' and '.join(owners)}"
    confirm(f"{text}, to up to {count} Active subscriptions?", yes=yes)
    request = PublishEventsRequest(events=[event])
    (result,) = session.services.publisher.PublishEvents(request).results
    if result.HasField("error"):
        raise error_of_status(result.error)
    say(f"webhooksctl events explain {result.accepted.name} shows what became of it")
    show_message(result.accepted, output)


def made(event_type: str, account: int, warehouse: str, session: Session) -> Event:
    """
    Return the sample as a new event, which happens now in an account and a warehouse, or in no
    warehouse: that of the sample could be somebody's. Raises `LookupError` and `ValueError`.
    """
    event = sample(event_type)
    if event.WhichOneof("payload") == _RAISED_BY_THE_SERVICE:
        raise ValueError(f"{event_type} is raised by the dispatch service itself")
    event.event_id, event.account_id = str(uuid4()), account
    event.occurred_at.FromDatetime(session.clock())
    # The number of the sample could be one that the resource had already.
    event.sequence = 0
    event.warehouses[:] = [warehouse] if warehouse else []
    move(event, warehouse)
    return event


def _interested(session: Session, owner: str, event: Event) -> int:
    """
    Return how many Active subscriptions of an owner are for event types that the event may raise.
    """
    raised = {it.event_type for it, _ in CATALOGUE.raised_by(str(event.WhichOneof("payload")))}
    request = ListSubscriptionsRequest(parent=owner, filter="status = ACTIVE")
    found = session.found(session.services.config.ListSubscriptions, request, limit=0)
    return sum(it.event_type in raised for it in found)
