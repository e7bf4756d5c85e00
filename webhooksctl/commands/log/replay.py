"""
`replay`: send a subscription the events that it missed.
"""

from __future__ import annotations

from typing import Annotated

import typer

from shipedge.webhooks.dispatch.v1 import delivery_service_pb2 as pb
from webhooksctl.commands.log.following import follow, show_job
from webhooksctl.commands.log.jobs import replay_job
from webhooksctl.options.flags import Output, Owner, Yes
from webhooksctl.options.groups import Given, takes
from webhooksctl.options.log_flags import TIMES
from webhooksctl.options.session import Session, confirm, session_of
from webhooksctl.output.formats import Format
from webhooksctl.rpc.names import owner_of
from webhooksctl.words.failures import REFUSED, CommandError
from webhooksctl.words.times import moment


@takes(TIMES)
def replay(
    ctx: typer.Context,
    subscription: Annotated[str, typer.Argument(help="Id or name of a subscription.")],
    *,
    given: Given,
    events: Annotated[
        list[str] | None, typer.Option("--event", help="Instead of times, an event; repeated.")
    ] = None,
    kinds: Annotated[
        list[str] | None, typer.Option("--kind", help="Only such: order_refunded; repeated.")
    ] = None,
    owner: Owner = "",
    rate: Annotated[int, typer.Option("--rate", min=0, help="Most in a second; 0: any.")] = 0,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Until all were made.")] = True,
    yes: Yes = False,
    output: Output = Format.TABLE,
) -> None:
    """
    Send a subscription what it has no delivery of: without --since that of the last 7 days.

    Nothing is sent before the number of deliveries was shown and confirmed.
    """
    session = session_of(ctx)
    request = pb.ReplayEventsRequest(
        subscription=session.name("subscriptions", owner, subscription),
        kinds=kinds or (),
        rate_limit=rate,
    )
    _choose(session, request, events or [], given, owner)
    _confirm_count(session, request, yes=yes)
    job = session.services.deliveries.ReplayEvents(request)
    if wait:
        job = follow(job, lambda name: replay_job(session, name), "replaying")
    show_job(job, output)


def _choose(
    session: Session, request: pb.ReplayEventsRequest, events: list[str], given: Given, owner: str
) -> None:
    if events and any(given.values()):
        raise CommandError("name events or give --since and --until, not both")
    parent = owner or owner_of(request.subscription)
    request.names.extend(session.name("events", parent, each) for each in events)
    for field, text in (("accept_start_time", given["since"]), ("accept_end_time", given["until"])):
        if text:
            try:
                getattr(request, field).FromDatetime(moment(text, session.clock()))
            except ValueError as refused:
                raise CommandError(str(refused)) from refused


def _confirm_count(session: Session, request: pb.ReplayEventsRequest, *, yes: bool) -> None:
    counting = pb.ReplayEventsRequest()
    counting.CopyFrom(request)
    counting.validate_only = True
    count = session.services.deliveries.ReplayEvents(counting).total_count
    if not count:
        raise CommandError("the subscription lacks none of these events: nothing was sent", REFUSED)
    events = "1 event" if count == 1 else f"{count} events"
    confirm(f"Send {events} to {request.subscription}?", yes=yes)
