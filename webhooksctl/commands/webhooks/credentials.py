"""
`credentials`: how webhooks authenticate to receivers.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Final

import typer

from shipedge.webhooks.config.v1.credential_pb2 import (
    Credential,
    HmacAuthentication,
    OAuth2ClientCredentials,
)
from webhooksctl.commands.webhooks.owned import Kind, Name, add_common
from webhooksctl.options.flags import DryRun, Identifier, Output, Owner
from webhooksctl.options.groups import Flag, Given, takes
from webhooksctl.options.secrets import Secret, asked, referenced
from webhooksctl.options.session import session_of
from webhooksctl.output.formats import Format, show_message
from webhooksctl.words.failures import CommandError
from webhooksctl.words.values import number_of

app = typer.Typer(no_args_is_help=True, help="How webhooks authenticate to receivers.")

KIND: Final = Kind(
    "Credential",
    "Credentials",
    "credentials",
    "credential",
    (
        ("Id", "name"),
        ("Name", "display_name"),
        ("Subscriptions", "subscription_count"),
        ("Changed", "update_time"),
    ),
)


class Method(StrEnum):
    """
    What `--method` takes.
    """

    BASIC = "basic"
    BEARER = "bearer"
    API_KEY = "api-key"
    OAUTH2 = "oauth2"
    HMAC = "hmac"


_FIELDS: Final[Mapping[Method, tuple[str, str]]] = {
    Method.BASIC: ("basic", "password"),
    Method.BEARER: ("bearer", "token"),
    Method.API_KEY: ("api_key", "key"),
    Method.OAUTH2: ("oauth2_client_credentials", "client_secret"),
    Method.HMAC: ("hmac", "key"),
}
"""
The field of each method in `Credential`, and the field of its secret.
"""

_FLAGS: Final = (
    Flag("display_name", "For people.", text="--name"),
    Flag("username", "basic: the user."),
    Flag("header", "api-key and hmac: the header."),
    Flag("token_url", "oauth2: where tokens are fetched."),
    Flag("client_id", "oauth2: the client."),
    Flag("scopes", "oauth2: a scope, repeated.", list[str] | None, None, "--scope"),
    Flag("audience", "oauth2: the audience."),
    Flag("client_authentication", "oauth2: header or body."),
    Flag("algorithm", "hmac: sha256, sha512 or sha1."),
    Flag("encoding", "hmac: hex or base64."),
    Flag("prefix", "hmac: written before the value."),
)

_ENUMS: Final = {
    "client_authentication": OAuth2ClientCredentials.ClientAuthentication.DESCRIPTOR,
    "algorithm": HmacAuthentication.Algorithm.DESCRIPTOR,
    "encoding": HmacAuthentication.Encoding.DESCRIPTOR,
}

add_common(app, KIND)


@app.command("create")
@takes(_FLAGS)
def create(
    ctx: typer.Context,
    *,
    given: Given,
    method: Annotated[Method, typer.Option("--method", help="How it authenticates.")],
    secret: Secret = "",
    owner: Owner = "",
    identifier: Identifier = "",
    dry_run: DryRun = False,
    output: Output = Format.TABLE,
) -> None:
    """
    Create a credential: --method basic --name Shop --username shop --secret env:PASSWORD.
    """
    session = session_of(ctx)
    field, secret_field = _FIELDS[method]
    wanted = Credential()
    describe(wanted, field, given)
    setattr(getattr(wanted, field), secret_field, asked("--secret", secret, secret_field))
    made = KIND.call(
        session,
        "Create",
        parent=session.owner(owner),
        credential=wanted,
        credential_id=identifier,
        validate_only=dry_run,
    )
    show_message(made, output)


@app.command("update")
@takes(_FLAGS)
def update(
    ctx: typer.Context,
    name: Name,
    *,
    given: Given,
    secret: Secret = "",
    owner: Owner = "",
    dry_run: DryRun = False,
    output: Output = Format.TABLE,
) -> None:
    """
    Change what flags name; without --secret the secret is kept.
    """
    session = session_of(ctx)
    found = KIND.call(session, "Get", name=KIND.full_name(session, owner, name))
    field = str(found.WhichOneof("method"))
    paths = describe(found, field, given)
    if secret:
        secret_field = next(text for method, text in _FIELDS.values() if method == field)
        setattr(getattr(found, field), secret_field, referenced("--secret", secret))
        paths |= {field}
    if not paths:
        raise CommandError("nothing to change: name it by its flag")
    mask = {"paths": sorted(paths)}
    changed = KIND.call(
        session, "Update", credential=found, update_mask=mask, validate_only=dry_run
    )
    show_message(changed, output)


def describe(found: Credential, method: str, given: Given) -> set[str]:
    """
    Set what flags name; return the paths of the mask. Raises `CommandError` for a flag that the
    method does not have.
    """
    part: Any = getattr(found, method)
    paths = set()
    for name, value in given.items():
        if not value:
            continue
        if name == "display_name":
            found.display_name = value
            paths.add("display_name")
        elif name in part.DESCRIPTOR.fields_by_name:
            _set(part, name, value)
            paths.add(method)
        else:
            flag = next(it for it in _FLAGS if it.name == name).flag
            raise CommandError(f"{flag}: a credential of the method {method} has none")
    # An empty message must be there too: it says which method it is.
    part.SetInParent()
    return paths


def _set(part: Any, name: str, value: Any) -> None:
    if name == "scopes":
        part.scopes[:] = value
        return
    if name in _ENUMS:
        try:
            value = number_of(_ENUMS[name], value)
        except ValueError as refused:
            raise CommandError(f"--{name.replace('_', '-')}: {refused}") from refused
    setattr(part, name, value)
