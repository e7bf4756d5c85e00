"""
`certificates`: client certificates, which webhooks connect with.
"""

from __future__ import annotations

from typing import Annotated, Final

import typer

from shipedge.webhooks.config.v1.client_certificate_pb2 import ClientCertificate
from webhooksctl.commands.webhooks.owned import Kind, Name, add_common
from webhooksctl.options.flags import DryRun, Identifier, Output, Owner
from webhooksctl.options.secrets import Password, content, referenced
from webhooksctl.options.session import session_of
from webhooksctl.output.formats import Format, show_message
from webhooksctl.words.failures import CommandError

app = typer.Typer(no_args_is_help=True, help="Client certificates, which webhooks connect with.")

KIND: Final = Kind(
    "ClientCertificate",
    "ClientCertificates",
    "clientCertificates",
    "certificate",
    (
        ("Id", "name"),
        ("Name", "display_name"),
        ("Subject", "subject"),
        ("Valid until", "not_after"),
        ("Subscriptions", "subscription_count"),
    ),
)

Label = Annotated[str, typer.Option("--name", help="For people.")]
Chain = Annotated[str, typer.Option("--certificate", help="The file of the chain, in PEM.")]
Key = Annotated[str, typer.Option("--key", help="The file of its key, in PEM.")]
Bundle = Annotated[str, typer.Option("--pkcs12", help="Instead, a file with both, in PKCS#12.")]

add_common(app, KIND)


@app.command("create")
def create(
    ctx: typer.Context,
    *,
    label: Label,
    certificate: Chain = "",
    key: Key = "",
    pkcs12: Bundle = "",
    password: Password = "",
    owner: Owner = "",
    identifier: Identifier = "",
    dry_run: DryRun = False,
    output: Output = Format.TABLE,
) -> None:
    """
    Create a client certificate from files.
    """
    session = session_of(ctx)
    wanted = ClientCertificate(display_name=label)
    if not _read(wanted, certificate, key, pkcs12, password):
        raise CommandError("--certificate with --key, or --pkcs12, is needed")
    made = KIND.call(
        session,
        "Create",
        parent=session.owner(owner),
        client_certificate=wanted,
        client_certificate_id=identifier,
        validate_only=dry_run,
    )
    show_message(made, output)


@app.command("update")
def update(
    ctx: typer.Context,
    name: Name,
    *,
    label: Label = "",
    certificate: Chain = "",
    key: Key = "",
    pkcs12: Bundle = "",
    password: Password = "",
    owner: Owner = "",
    dry_run: DryRun = False,
    output: Output = Format.TABLE,
) -> None:
    """
    Renew a client certificate, or name it anew.
    """
    session = session_of(ctx)
    full = KIND.full_name(session, owner, name)
    wanted = ClientCertificate(name=full, display_name=label)
    paths = _read(wanted, certificate, key, pkcs12, password)
    paths += ["display_name"] if label else []
    if not paths:
        raise CommandError("nothing to change: --certificate with --key, --pkcs12 or --name")
    changed = KIND.call(
        session,
        "Update",
        client_certificate=wanted,
        update_mask={"paths": paths},
        validate_only=dry_run,
    )
    show_message(changed, output)


def _read(
    wanted: ClientCertificate, certificate: str, key: str, pkcs12: str, password: str
) -> list[str]:
    """
    Read the files into a certificate; return the paths of the mask, none without files.
    """
    if bool(certificate) != bool(key) or (certificate and pkcs12):
        raise CommandError("give --certificate with --key, or --pkcs12 alone")
    secret = referenced("--password", password)
    if certificate:
        wanted.pem.certificate_chain = content(certificate).decode()
        wanted.pem.private_key = content(key).decode()
        wanted.pem.password = secret
        return ["pem"]
    if pkcs12:
        wanted.pkcs12.bundle = content(pkcs12)
        wanted.pkcs12.password = secret
        return ["pkcs12"]
    return []
