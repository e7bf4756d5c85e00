"""
`settings`: what holds for all of an account or a warehouse.
"""

from __future__ import annotations

from typing import Annotated

import typer

from shipedge.webhooks.config.v1 import config_service_pb2 as pb
from shipedge.webhooks.config.v1.owner_settings_pb2 import OwnerSettings
from shipedge.webhooks.events.v1.catalogue_pb2 import OwnerFeature
from webhooksctl.options.flags import Output, Owner
from webhooksctl.options.session import session_of, understood
from webhooksctl.output.formats import Format, show_message
from webhooksctl.rpc.names import settings_name
from webhooksctl.words.failures import CommandError
from webhooksctl.words.times import duration_message
from webhooksctl.words.values import number_of

app = typer.Typer(no_args_is_help=True, help="What holds for all of an account or a warehouse.")


@app.command("get")
def get(ctx: typer.Context, *, owner: Owner = "", output: Output = Format.TABLE) -> None:
    """
    Show the settings of an owner.
    """
    session = session_of(ctx)
    request = pb.GetOwnerSettingsRequest(name=settings_name(session.owner(owner)))
    show_message(session.services.config.GetOwnerSettings(request), output)


@app.command("update")
def update(
    ctx: typer.Context,
    *,
    owner: Owner = "",
    feature: Annotated[
        list[str] | None, typer.Option("--feature", help="inventory-mirror, repeated; '': none.")
    ] = None,
    retry: Annotated[str, typer.Option("--retry", help="The usual delays: 5s,5m,1h.")] = "",
    payloads: Annotated[str, typer.Option("--keep-payloads", help="For how long: 30d.")] = "",
    log: Annotated[str, typer.Option("--keep-log", help="For how long: 90d.")] = "",
    output: Output = Format.TABLE,
) -> None:
    """
    Change the settings that flags name.
    """
    session = session_of(ctx)
    wanted = OwnerSettings(name=settings_name(session.owner(owner)))
    paths = []
    if feature is not None:
        wanted.features.extend(OwnerFeature.ValueType(_feature(it)) for it in feature if it)
        paths.append("features")
    if retry:
        delays = [understood("--retry", duration_message, it.strip()) for it in retry.split(",")]
        wanted.default_retry_schedule.delays.extend(delays)
        paths.append("default_retry_schedule")
    for flag, field, text in (
        ("--keep-payloads", "payload_retention", payloads),
        ("--keep-log", "log_retention", log),
    ):
        if text:
            getattr(wanted, field).CopyFrom(understood(flag, duration_message, text))
            paths.append(field)
    if not paths:
        raise CommandError("nothing to change: name it by its flag")
    request = pb.UpdateOwnerSettingsRequest(settings=wanted)
    request.update_mask.paths.extend(paths)
    show_message(session.services.config.UpdateOwnerSettings(request), output)


def _feature(text: str) -> int:
    number: int = understood("--feature", lambda it: number_of(OwnerFeature.DESCRIPTOR, it), text)
    return number
