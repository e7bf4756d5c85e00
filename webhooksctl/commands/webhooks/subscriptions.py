"""
`subscriptions`: which there are, and how they do.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

import typer

from shipedge.webhooks.config.v1 import config_service_pb2 as pb
from shipedge.webhooks.config.v1.subscription_pb2 import EndpointHealth, Subscription
from webhooksctl.options.flags import Limit, Output, Owner
from webhooksctl.options.session import Session, session_of
from webhooksctl.output.formats import Format, show_list, show_message
from webhooksctl.words import filters

app = typer.Typer(no_args_is_help=True, help="What is sent where.")

COLUMNS: Final = (
    ("Id", "name"),
    ("Event", "event_type"),
    ("Version", "payload_version"),
    ("Status", "status"),
    ("Health", "endpoint_health.state"),
    ("Url", "url"),
)

_FAILING: Final = {
    EndpointHealth.STATE_FAILING,
    EndpointHealth.STATE_GONE,
    EndpointHealth.STATE_ERROR,
}


class Status(StrEnum):
    """
    What `--status` takes.
    """

    ACTIVE = "active"
    INACTIVE = "inactive"


@app.command("list")
def list_subscriptions(
    ctx: typer.Context,
    *,
    owner: Owner = "",
    event: Annotated[str, typer.Option("--event", help="The event type: orders/shipped.")] = "",
    version: Annotated[str, typer.Option("--version", help="The payload version: v2.")] = "",
    url: Annotated[str, typer.Option("--url", help="The whole URL.")] = "",
    status: Annotated[Status | None, typer.Option("--status", help="Only those.")] = None,
    failing: Annotated[bool, typer.Option("--failing", help="Whose endpoint fails.")] = False,
    deleted: Annotated[bool, typer.Option("--deleted", help="Deleted ones too.")] = False,
    limit: Limit = 0,
    output: Output = Format.TABLE,
) -> None:
    """
    List the subscriptions of an owner; of all with --owner accounts/-.
    """
    session = session_of(ctx)
    parent = session.owner(owner)
    parts = filters.equal({"event_type": event, "payload_version": version, "url": url})
    parts += [f"status = {status.upper()}"] if status else []
    request = pb.ListSubscriptionsRequest(
        parent=parent, filter=filters.joined(parts), show_deleted=deleted
    )
    found = session.found(session.services.config.ListSubscriptions, request, limit)
    if failing:
        found = (it for it in found if it.endpoint_health.state in _FAILING)
    show_list(found, COLUMNS, output, parent)


@app.command("get")
def get(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="Id or name.")],
    *,
    owner: Owner = "",
    output: Output = Format.TABLE,
) -> None:
    """
    Show a subscription.
    """
    session = session_of(ctx)
    show_message(subscription(session, owner, name), output)


def subscription(session: Session, owner: str, text: str) -> Subscription:
    """
    Return a subscription by id or name.
    """
    name = session.name("subscriptions", owner, text)
    return session.services.config.GetSubscription(pb.GetSubscriptionRequest(name=name))
