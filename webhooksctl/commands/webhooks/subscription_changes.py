"""
`subscriptions`: the commands that change them.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from shipedge.webhooks.config.v1 import config_service_pb2 as pb
from shipedge.webhooks.config.v1.subscription_pb2 import Subscription
from webhooksctl.commands.webhooks.event_types import event_type_of
from webhooksctl.options.flags import DryRun, Grace, Identifier, Output, Owner, Yes
from webhooksctl.options.groups import Given, takes
from webhooksctl.options.session import Session, confirm, say, session_of, understood
from webhooksctl.options.subscription_flags import FLAGS, subscription_of
from webhooksctl.output.formats import Format, show_message
from webhooksctl.rpc.names import owner_of
from webhooksctl.settings.references import resolved
from webhooksctl.words.failures import CommandError
from webhooksctl.words.times import duration_message

app = typer.Typer()

Name = Annotated[str, typer.Argument(help="Id or name.")]


@app.command("create")
@takes(FLAGS)
def create(
    ctx: typer.Context,
    *,
    given: Given,
    owner: Owner = "",
    identifier: Identifier = "",
    inactive: Annotated[bool, typer.Option("--inactive", help="Send nothing yet.")] = False,
    dry_run: DryRun = False,
    output: Output = Format.TABLE,
) -> None:
    """
    Create a subscription; its signing secret is shown this once.
    """
    session = session_of(ctx)
    parent = session.owner(owner)
    wanted, _ = _described(session, given, parent)
    if not wanted.event_type or not wanted.url:
        raise CommandError("--event and --url are needed")
    if not wanted.payload_version:
        wanted.payload_version = event_type_of(session, wanted.event_type).recommended_version
    wanted.status = Subscription.STATUS_INACTIVE if inactive else Subscription.STATUS_ACTIVE
    request = pb.CreateSubscriptionRequest(
        parent=parent, subscription=wanted, subscription_id=identifier, validate_only=dry_run
    )
    _show(session.services.config.CreateSubscription(request), output)


@app.command("update")
@takes(FLAGS)
def update(
    ctx: typer.Context,
    name: Name,
    *,
    given: Given,
    owner: Owner = "",
    clear: Annotated[
        list[str] | None, typer.Option("--clear", help="Empty a field: custom_headers, say.")
    ] = None,
    dry_run: DryRun = False,
    output: Output = Format.TABLE,
) -> None:
    """
    Change the fields that flags name, and no others.
    """
    session = session_of(ctx)
    full = session.name("subscriptions", owner, name)
    wanted, paths = _described(session, given, owner_of(full))
    wanted.name = full
    paths += clear or []
    if not paths:
        raise CommandError("nothing to change: name a field by its flag, or with --clear")
    _change(session, wanted, paths, output, dry_run=dry_run)


@app.command("activate")
def activate(
    ctx: typer.Context, name: Name, *, owner: Owner = "", output: Output = Format.TABLE
) -> None:
    """
    Set a subscription Active: what waits is sent.
    """
    _set_status(session_of(ctx), owner, name, Subscription.STATUS_ACTIVE, output)


@app.command("deactivate")
def deactivate(
    ctx: typer.Context, name: Name, *, owner: Owner = "", output: Output = Format.TABLE
) -> None:
    """
    Set a subscription Inactive: nothing more is sent.
    """
    _set_status(session_of(ctx), owner, name, Subscription.STATUS_INACTIVE, output)


@app.command("delete")
def delete(
    ctx: typer.Context,
    name: Name,
    *,
    owner: Owner = "",
    yes: Yes = False,
    output: Output = Format.TABLE,
) -> None:
    """
    Delete a subscription: what is unfinished is cancelled. For 30 days it can be undeleted.
    """
    session = session_of(ctx)
    full = session.name("subscriptions", owner, name)
    confirm(f"Delete {full} and cancel its unfinished deliveries?", yes=yes)
    request = pb.DeleteSubscriptionRequest(name=full)
    _show(session.services.config.DeleteSubscription(request), output)


@app.command("undelete")
def undelete(
    ctx: typer.Context, name: Name, *, owner: Owner = "", output: Output = Format.TABLE
) -> None:
    """
    Bring a deleted subscription back.
    """
    session = session_of(ctx)
    request = pb.UndeleteSubscriptionRequest(name=session.name("subscriptions", owner, name))
    _show(session.services.config.UndeleteSubscription(request), output)


@app.command("rotate")
def rotate(
    ctx: typer.Context,
    name: Name,
    *,
    owner: Owner = "",
    grace: Grace = "24h",
    output: Output = Format.TABLE,
) -> None:
    """
    Make a new signing secret, which is shown this once.
    """
    session = session_of(ctx)
    request = pb.RotateSigningSecretRequest(
        name=session.name("subscriptions", owner, name),
        grace_period=understood("--grace", duration_message, grace),
    )
    _show(session.services.config.RotateSigningSecret(request), output)


def _described(session: Session, given: Given, owner: str) -> tuple[Subscription, list[str]]:
    try:
        return subscription_of(
            given,
            lambda collection, text: session.name(collection, owner, text),
            lambda text: resolved(text, os.environ, Path()),
        )
    except ValueError as refused:
        raise CommandError(str(refused)) from refused


def _set_status(
    session: Session, owner: str, text: str, status: Subscription.Status.ValueType, output: Format
) -> None:
    name = session.name("subscriptions", owner, text)
    _change(session, Subscription(name=name, status=status), ["status"], output)


def _change(
    session: Session,
    wanted: Subscription,
    paths: list[str],
    output: Format,
    *,
    dry_run: bool = False,
) -> None:
    request = pb.UpdateSubscriptionRequest(subscription=wanted, validate_only=dry_run)
    request.update_mask.paths.extend(paths)
    _show(session.services.config.UpdateSubscription(request), output)


def _show(changed: Subscription, output: Format) -> None:
    for warning in changed.warnings:
        say(f"warning: {warning}")
    if changed.signing_secret:
        say("keep the signing secret: it is not shown again")
    show_message(changed, output)
