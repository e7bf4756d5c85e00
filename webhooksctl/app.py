"""
The command line as a whole.
"""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from typing import Annotated, Any

import grpc
import typer
from typer.core import TyperGroup

from shipedge.webhooks.client.errors import ApiError, error_of_call
from webhooksctl.commands.log import (
    attempts,
    deliveries,
    events,
    jobs,
    listen,
    payloads,
    replay,
    resend,
    test_events,
    trigger,
)
from webhooksctl.commands.service import audit, callers, encryption_keys, erase, health
from webhooksctl.commands.webhooks import (
    certificates,
    credentials,
    egress,
    endpoints,
    event_types,
    manifest,
    owner_settings,
    portal_links,
    signing_keys,
    stats,
    subscription_changes,
    subscriptions,
)
from webhooksctl.manifests.reading import ManifestInvalidError
from webhooksctl.options.session import Session, say
from webhooksctl.settings.profiles import ProfileInvalidError, read_profile
from webhooksctl.settings.references import ReferenceInvalidError
from webhooksctl.words.failures import MISUSED, CommandError, exit_code_of, sentence


class _Root(TyperGroup):
    """
    Says what went wrong in one sentence, and exits with a code of its own.
    """

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except grpc.RpcError as refused:
            _fail_with(error_of_call(refused))
        except ApiError as refused:
            _fail_with(refused)
        except CommandError as refused:
            _fail(str(refused), refused.exit_code)
        except (ManifestInvalidError, ProfileInvalidError, ReferenceInvalidError) as refused:
            _fail(str(refused), MISUSED)


def _fail_with(error: ApiError) -> None:
    _fail(sentence(error), exit_code_of(error))


def _fail(text: str, code: int) -> None:
    say(f"webhooksctl: {text}")
    raise typer.Exit(code)


app = typer.Typer(
    name="webhooksctl",
    cls=_Root,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Webhooks from the command line.",
)


def _now() -> datetime:
    return datetime.fromtimestamp(time.time(), UTC)


@app.callback()
def start(
    ctx: typer.Context,
    *,
    profile: Annotated[str, typer.Option("--profile", "-p", help="A profile of the file.")] = "",
    config_address: Annotated[
        str, typer.Option("--config-address", help="The config service, host:port.")
    ] = "",
    dispatch_address: Annotated[
        str, typer.Option("--dispatch-address", help="The dispatch service, host:port.")
    ] = "",
    ca_file: Annotated[str, typer.Option("--ca-file", help="The authority of the services.")] = "",
    certificate_file: Annotated[str, typer.Option("--certificate-file", help="Yours.")] = "",
    key_file: Annotated[str, typer.Option("--key-file", help="Its key.")] = "",
    token_file: Annotated[str, typer.Option("--token-file", help="Instead, a token.")] = "",
) -> None:
    """
    Webhooks from the command line: what is configured, what was sent, and why not.
    """
    flags = {
        "profile": profile,
        "config_address": config_address,
        "dispatch_address": dispatch_address,
        "ca_file": ca_file,
        "certificate_file": certificate_file,
        "key_file": key_file,
        "token_file": token_file,
    }
    session = Session(lambda: read_profile(os.environ, flags), _now)
    ctx.obj = session
    ctx.call_on_close(session.close)


subscriptions.app.add_typer(subscription_changes.app)
subscriptions.app.command("stats")(stats.stats)
app.add_typer(subscriptions.app, name="subscriptions")
app.add_typer(event_types.app, name="event-types")
app.add_typer(events.app, name="events")
app.add_typer(deliveries.app, name="deliveries")
app.add_typer(attempts.app, name="attempts")
app.command("listen")(listen.listen)
app.command("resend")(resend.resend)
app.command("replay")(replay.replay)
app.add_typer(test_events.app, name="test")
app.add_typer(jobs.app, name="jobs")
app.command("preview")(payloads.preview)
app.command("diff")(payloads.diff)
app.add_typer(credentials.app, name="credentials")
app.add_typer(certificates.app, name="certificates")
app.add_typer(signing_keys.app, name="signing-keys")
app.add_typer(owner_settings.app, name="settings")
app.add_typer(endpoints.app, name="endpoints")
app.add_typer(portal_links.app, name="portal-links")
app.command("egress")(egress.egress)
app.command("export")(manifest.export)
app.command("plan")(manifest.plan)
app.command("apply")(manifest.apply)
app.add_typer(callers.app, name="callers")
app.add_typer(audit.app, name="audit")
app.command("erase")(erase.erase)
app.add_typer(encryption_keys.app, name="encryption-keys")
app.command("trigger")(trigger.trigger)
app.command("health")(health.health)
