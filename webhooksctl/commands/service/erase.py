"""
`erase`: the personal data of one customer.
"""

from __future__ import annotations

from typing import Annotated

import typer

from shipedge.webhooks.dispatch.v1.dispatch_admin_service_pb2 import EraseCustomerDataRequest
from webhooksctl.options.flags import Output, Owner, Yes
from webhooksctl.options.session import confirm, session_of
from webhooksctl.output.formats import Format, show_message
from webhooksctl.words.failures import CommandError


def erase(
    ctx: typer.Context,
    *,
    owner: Owner = "",
    event: Annotated[str, typer.Option("--event", help="The id of an event.")] = "",
    order: Annotated[int, typer.Option("--order", help="The id of an order.")] = 0,
    email: Annotated[str, typer.Option("--email", help="The address of a customer.")] = "",
    yes: Yes = False,
    output: Output = Format.TABLE,
) -> None:
    """
    Erase the payloads with the data of one customer. This cannot be undone.

    Deliveries that are not finished are cancelled; the log stays, without bodies.
    """
    session = session_of(ctx)
    named = {"event_id": event, "order_id": order, "customer_email": email}
    given = {field: value for field, value in named.items() if value}
    if len(given) != 1:
        raise CommandError("say whose data: one of --event, --order and --email")
    parent = session.owner(owner)
    ((field, value),) = given.items()
    what = field.replace("_", " ")
    confirm(f"Erase the payloads of {parent} with the {what} {value}, for ever?", yes=yes)
    request = EraseCustomerDataRequest(parent=parent)
    setattr(request, field, value)
    show_message(session.services.dispatch_admin.EraseCustomerData(request), output)
