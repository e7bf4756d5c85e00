"""
`resend`: send deliveries again.
"""

from __future__ import annotations

from typing import Annotated

import typer

from shipedge.webhooks.dispatch.v1 import delivery_service_pb2 as pb
from webhooksctl.commands.log.deliveries import filter_of
from webhooksctl.commands.log.following import follow, show_job
from webhooksctl.commands.log.jobs import resend_job
from webhooksctl.options.flags import Output, Owner, Yes
from webhooksctl.options.groups import Given, takes
from webhooksctl.options.log_flags import DELIVERIES
from webhooksctl.options.session import Session, confirm, session_of
from webhooksctl.output.formats import Format, show_message
from webhooksctl.rpc.names import owner_of
from webhooksctl.words.failures import REFUSED, CommandError


@takes(DELIVERIES)
def resend(
    ctx: typer.Context,
    names: Annotated[list[str] | None, typer.Argument(help="Ids or names of deliveries.")] = None,
    *,
    given: Given,
    owner: Owner = "",
    force: Annotated[bool, typer.Option("--force", help="Those too that succeeded.")] = False,
    rate: Annotated[int, typer.Option("--rate", min=0, help="Most in a second; 0: any.")] = 0,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Until all are due.")] = True,
    yes: Yes = False,
    output: Output = Format.TABLE,
) -> None:
    """
    Send deliveries again: those that are named, or all that flags choose.

    Nothing is sent before their number was shown and confirmed.
    """
    session = session_of(ctx)
    if names and any(given.values()):
        raise CommandError("name deliveries or choose them with flags, not both")
    if names and len(names) == 1:
        _resend_one(
            session, session.name("deliveries", owner, names[0]), output, force=force, yes=yes
        )
        return
    request = _request(session, names or [], given, owner)
    request.force, request.rate_limit = force, rate
    _confirm_count(session, request, yes=yes)
    job = session.services.deliveries.ResendDeliveries(request)
    if wait:
        job = follow(job, lambda name: resend_job(session, name), "resending")
    show_job(job, output)


def _request(
    session: Session, names: list[str], given: Given, owner: str
) -> pb.ResendDeliveriesRequest:
    if names:
        full = [session.name("deliveries", owner, name) for name in names]
        return pb.ResendDeliveriesRequest(parent=owner_of(full[0]), names=full)
    if not any(given.values()):
        raise CommandError("name deliveries, or choose them with flags: --failed --since 2h, say")
    parent = session.owner(owner)
    return pb.ResendDeliveriesRequest(parent=parent, filter=filter_of(session, given, parent))


def _confirm_count(session: Session, request: pb.ResendDeliveriesRequest, *, yes: bool) -> None:
    counting = pb.ResendDeliveriesRequest()
    counting.CopyFrom(request)
    counting.validate_only = True
    count = session.services.deliveries.ResendDeliveries(counting).total_count
    if not count:
        raise CommandError("no delivery was found: nothing was sent", REFUSED)
    confirm(f"Send {count} {'delivery' if count == 1 else 'deliveries'} again?", yes=yes)


def _resend_one(session: Session, name: str, output: Format, *, force: bool, yes: bool) -> None:
    found = session.services.deliveries.GetDelivery(pb.GetDeliveryRequest(name=name))
    confirm(f"Send 1 delivery again, {found.event_type} to {found.url}?", yes=yes)
    request = pb.ResendDeliveryRequest(name=name, force=force)
    show_message(session.services.deliveries.ResendDelivery(request), output)
