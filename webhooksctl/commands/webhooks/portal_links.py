"""
`portal-links`: the console for a customer, for an hour at most.
"""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode, urlsplit

import typer

from shipedge.webhooks.config.v1.caller_pb2 import Caller
from shipedge.webhooks.config.v1.config_service_pb2 import CreatePortalLinkRequest
from webhooksctl.options.flags import Output, Owner
from webhooksctl.options.session import say, session_of, understood
from webhooksctl.output.formats import Format, show_message
from webhooksctl.words.failures import CommandError
from webhooksctl.words.times import duration_message
from webhooksctl.words.values import number_of

app = typer.Typer(no_args_is_help=True, help="The console for a customer.")


@app.command("create")
def create(
    ctx: typer.Context,
    *,
    owner: Owner = "",
    role: Annotated[str, typer.Option("--role", help="reader, operator or admin.")] = "reader",
    lifetime: Annotated[str, typer.Option("--for", help="How long it is good for: 30m.")] = "1h",
    console: Annotated[
        str, typer.Option("--console", help="The console, https://console.example.com.")
    ] = "",
    output: Output = Format.TABLE,
) -> None:
    """
    Make a link with which a guest sees the pages of one account or warehouse.
    """
    session = session_of(ctx)
    request = CreatePortalLinkRequest(
        parent=session.owner(owner),
        role=understood("--role", lambda text: number_of(Caller.Role.DESCRIPTOR, text), role),
        ttl=understood("--for", duration_message, lifetime),
    )
    origin = _origin(console) if console else ""
    link = session.services.config.CreatePortalLink(request)
    show_message(link, output)
    if origin:
        say(f"{origin}/{link.owner}/portal?{urlencode({'token': link.token})}")


def _origin(text: str) -> str:
    url = urlsplit(text)
    if url.scheme not in {"http", "https"} or not url.netloc or url.query or url.fragment:
        raise CommandError(f"--console: {text!r} is no address: https://console.example.com, say")
    return text.rstrip("/")
