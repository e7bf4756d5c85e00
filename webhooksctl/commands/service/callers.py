"""
`callers`: who may call the services.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import typer

from shipedge.webhooks.config.v1 import config_admin_service_pb2 as pb
from shipedge.webhooks.config.v1.caller_pb2 import Caller
from webhooksctl.options.flags import DryRun, Grace, Identifier, Limit, Output, Yes
from webhooksctl.options.groups import Flag, Given, takes
from webhooksctl.options.session import Session, confirm, say, session_of, understood
from webhooksctl.output.formats import Format, show_list, show_message
from webhooksctl.rpc.names import caller_name, owner_name
from webhooksctl.words.failures import CommandError
from webhooksctl.words.times import duration_message, expiry, rfc3339
from webhooksctl.words.values import number_of

app = typer.Typer(no_args_is_help=True, help="Who may call the services.")

Name = Annotated[str, typer.Argument(help="The id or name of a caller.")]

_COLUMNS: Final = (
    ("Caller", "name"),
    ("Name", "display_name"),
    ("Roles", "roles"),
    ("Owners", "owners"),
    ("Certificate", "certificate_identity"),
    ("Expires", "expire_time"),
)

_FLAGS: Final = (
    Flag("display_name", "For people.", text="--name"),
    Flag("roles", "publisher, reader, operator, admin or feed.", list[str] | None, None, "--role"),
    Flag("owners", "accounts/100, accounts/-, …", list[str] | None, None, "--owner"),
    Flag("certificate_identity", "A DNS name or URI of its certificate; none: it has a token."),
    Flag("expires", "When it is let in no more: in 90d, or a time."),
)


@app.command("list")
def list_callers(ctx: typer.Context, *, limit: Limit = 0, output: Output = Format.TABLE) -> None:
    """
    List the callers.
    """
    session = session_of(ctx)
    request = pb.ListCallersRequest()
    found = session.found(session.services.config_admin.ListCallers, request, limit)
    show_list(found, _COLUMNS, output)


@app.command("get")
def get(ctx: typer.Context, name: Name, *, output: Output = Format.TABLE) -> None:
    """
    Show a caller.
    """
    request = pb.GetCallerRequest(name=caller_name(name))
    show_message(session_of(ctx).services.config_admin.GetCaller(request), output)


@app.command("create")
@takes(_FLAGS)
def create(
    ctx: typer.Context,
    *,
    given: Given,
    identifier: Identifier = "",
    dry_run: DryRun = False,
    output: Output = Format.TABLE,
) -> None:
    """
    Create a caller; its token, if it has no certificate, is shown this once.
    """
    session = session_of(ctx)
    wanted, _ = _described(session, given)
    request = pb.CreateCallerRequest(caller=wanted, caller_id=identifier, validate_only=dry_run)
    _show(session.services.config_admin.CreateCaller(request), output)


@app.command("update")
@takes(_FLAGS)
def update(
    ctx: typer.Context,
    name: Name,
    *,
    given: Given,
    dry_run: DryRun = False,
    output: Output = Format.TABLE,
) -> None:
    """
    Change what flags name; --role and --owner replace all.
    """
    session = session_of(ctx)
    wanted, paths = _described(session, given)
    if not paths:
        raise CommandError("nothing to change: name it by its flag")
    wanted.name = caller_name(name)
    request = pb.UpdateCallerRequest(caller=wanted, validate_only=dry_run)
    request.update_mask.paths.extend(paths)
    _show(session.services.config_admin.UpdateCaller(request), output)


@app.command("rotate")
def rotate(
    ctx: typer.Context, name: Name, *, grace: Grace = "24h", output: Output = Format.TABLE
) -> None:
    """
    Give a caller a new token, which is shown this once.
    """
    request = pb.RotateCallerTokenRequest(
        name=caller_name(name), grace_period=understood("--grace", duration_message, grace)
    )
    _show(session_of(ctx).services.config_admin.RotateCallerToken(request), output)


@app.command("delete")
def delete(ctx: typer.Context, name: Name, *, yes: Yes = False) -> None:
    """
    Delete a caller: it is let in no more.
    """
    session = session_of(ctx)
    full = caller_name(name)
    confirm(f"Delete {full}? Its calls are refused from then on.", yes=yes)
    session.services.config_admin.DeleteCaller(pb.DeleteCallerRequest(name=full))
    say(f"deleted: {full}")


def _described(session: Session, given: Given) -> tuple[Caller, list[str]]:
    values: dict[str, Any] = {name: value for name, value in given.items() if value}
    found = Caller(
        display_name=values.get("display_name", ""),
        certificate_identity=values.get("certificate_identity", ""),
        owners=[understood("--owner", owner_name, it) for it in values.get("owners", ())],
        roles=[_role(it) for it in values.get("roles", ())],
    )
    if text := values.pop("expires", ""):
        moment = understood("--expires", lambda it: rfc3339(expiry(it, session.clock())), text)
        found.expire_time.FromJsonString(moment)
        values["expire_time"] = moment
    return found, list(values)


def _role(text: str) -> Caller.Role.ValueType:
    number = understood("--role", lambda it: number_of(Caller.Role.DESCRIPTOR, it), text)
    return Caller.Role.ValueType(number)


def _show(caller: Caller, output: Format) -> None:
    if caller.token:
        say("keep the token: it is not shown again")
    show_message(caller, output)
