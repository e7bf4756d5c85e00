"""
`signing-keys`: secrets that many webhooks sign with.
"""

from __future__ import annotations

from typing import Annotated, Final

import typer

from shipedge.webhooks.config.v1 import signing_key_pb2 as pb
from shipedge.webhooks.config.v1.signing_key_pb2 import SigningKey
from webhooksctl.commands.webhooks.owned import Kind, Name, add_common
from webhooksctl.options.flags import DryRun, Grace, Identifier, Output, Owner
from webhooksctl.options.secrets import referenced
from webhooksctl.options.session import say, session_of, understood
from webhooksctl.output.formats import Format, show_message
from webhooksctl.words.times import duration_message

app = typer.Typer(no_args_is_help=True, help="Secrets that many webhooks sign with.")

KIND: Final = Kind(
    "SigningKey",
    "SigningKeys",
    "signingKeys",
    "signing key",
    (
        ("Id", "name"),
        ("Name", "display_name"),
        ("Subscriptions", "subscription_count"),
        ("Changed", "update_time"),
    ),
    pb,
)

Secret = Annotated[
    str, typer.Option("--secret", help="Your own, env:NAME or file:PATH; without it one is made.")
]

add_common(app, KIND)


@app.command("create")
def create(
    ctx: typer.Context,
    *,
    label: Annotated[str, typer.Option("--name", help="For people.")],
    secret: Secret = "",
    owner: Owner = "",
    identifier: Identifier = "",
    dry_run: DryRun = False,
    output: Output = Format.TABLE,
) -> None:
    """
    Create a signing key; a secret that was made is shown this once.
    """
    session = session_of(ctx)
    key = SigningKey(display_name=label, secret=referenced("--secret", secret))
    made = KIND.call(
        session,
        "Create",
        parent=session.owner(owner),
        signing_key=key,
        signing_key_id=identifier,
        validate_only=dry_run,
    )
    _show(made, output)


@app.command("rotate")
def rotate(
    ctx: typer.Context,
    name: Name,
    *,
    grace: Grace = "24h",
    secret: Secret = "",
    owner: Owner = "",
    output: Output = Format.TABLE,
) -> None:
    """
    Give a signing key a new secret; for a time requests are signed with both.
    """
    session = session_of(ctx)
    request = pb.RotateSigningKeyRequest(
        name=KIND.full_name(session, owner, name),
        grace_period=understood("--grace", duration_message, grace),
        secret=referenced("--secret", secret),
    )
    _show(session.services.config.RotateSigningKey(request), output)


def _show(key: SigningKey, output: Format) -> None:
    if key.secret:
        say("keep the secret: it is not shown again")
    show_message(key, output)
