"""
`export`, `plan` and `apply`: subscriptions as code.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer
import yaml
from rich.text import Text

from shipedge.webhooks.config.v1 import config_service_pb2 as pb
from shipedge.webhooks.config.v1.subscription_pb2 import Subscription
from webhooksctl.manifests.changes import Action, Change, changes, with_secrets
from webhooksctl.manifests.content import Manifest, read_manifests, written
from webhooksctl.options.flags import Output, Owner, Yes
from webhooksctl.options.session import Session, confirm, say, session_of
from webhooksctl.output.formats import Format, console, plain, write
from webhooksctl.rpc.names import short_name, split_name
from webhooksctl.settings.references import resolved
from webhooksctl.words.failures import REFUSED, CommandError
from webhooksctl.words.values import printable

File = Annotated[Path, typer.Option("--file", "-f", help="The manifest; - reads the input.")]
Prune = Annotated[bool, typer.Option("--prune", help="Delete what the manifest lacks.")]
Secrets = Annotated[bool, typer.Option("--secrets", help="Send the values of headers again.")]

_MARKS: Final = {
    Action.CREATE: ("+", "green"),
    Action.UPDATE: ("~", "yellow"),
    Action.RESTORE: ("+", "green"),
    Action.DELETE: ("-", "red"),
}

_HIDDEN: Final = "…"


def export(ctx: typer.Context, *, owner: Owner = "") -> None:
    """
    Print the subscriptions of an owner as a manifest.
    """
    session = session_of(ctx)
    parent = session.owner(owner)
    found = _present(session, parent, deleted=False)
    if any(_HIDDEN in each.url for each in found):
        raise CommandError("URLs are not shown to readers: export needs an operator or admin")
    subscriptions = {short_name(each.name): written(each) for each in found}
    content = {"owner": parent, "subscriptions": subscriptions}
    typer.echo(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), nl=False)


def plan(
    ctx: typer.Context,
    *,
    file: File,
    prune: Prune = False,
    secrets: Secrets = False,
    check: Annotated[bool, typer.Option("--check", help="Exit with 1 at a difference.")] = False,
    output: Output = Format.TABLE,
) -> None:
    """
    Show what `apply` would change, and change nothing.
    """
    found = _planned(session_of(ctx), file, prune=prune, secrets=secrets)
    if output is Format.TABLE:
        _show(found)
    else:
        write([_plain(each) for each in found], output)
    if check and found:
        raise typer.Exit(REFUSED)


def apply(
    ctx: typer.Context,
    *,
    file: File,
    prune: Prune = False,
    secrets: Secrets = False,
    yes: Yes = False,
    output: Output = Format.TABLE,
) -> None:
    """
    Make subscriptions what a manifest describes, after the differences were confirmed.

    Signing secrets of new ones are shown this once.
    """
    session = session_of(ctx)
    found = _planned(session, file, prune=prune, secrets=secrets)
    if output is Format.TABLE:
        _show(found)
    if found:
        # Whatever cannot be resolved is known before anything was changed.
        ready = [with_secrets(each, _resolver(file)) for each in found]
        confirm(f"Apply: {_counts(found)}?", yes=yes)
        done = [_applied(session, each) for each in ready]
    else:
        done = []
    if output is not Format.TABLE:
        write([plain(each) for each in done], output)
        return
    for each in done:
        if each.signing_secret:
            typer.echo(f"{each.name} signing_secret {each.signing_secret}")


def _planned(session: Session, file: Path, *, prune: bool, secrets: bool) -> list[Change]:
    manifests = read_manifests(_text(file), _resolver(file))
    return [change for each in manifests for change in _of_owner(session, each, prune, secrets)]


def _of_owner(session: Session, manifest: Manifest, prune: bool, secrets: bool) -> list[Change]:  # noqa: FBT001 - passed on
    present = _present(session, manifest.owner, deleted=True)
    return list(changes(manifest, present, prune=prune, secrets=secrets))


def _text(file: Path) -> str:
    try:
        return typer.get_text_stream("stdin").read() if str(file) == "-" else file.read_text()
    except (OSError, UnicodeDecodeError) as refused:
        raise CommandError(f"--file: {file} cannot be read: {refused}") from refused


def _resolver(file: Path) -> Callable[[str], str]:
    return lambda text: resolved(text, os.environ, file.parent)


def _present(session: Session, owner: str, *, deleted: bool) -> list[Subscription]:
    request = pb.ListSubscriptionsRequest(parent=owner, show_deleted=deleted)
    return list(session.found(session.services.config.ListSubscriptions, request, limit=0))


def _applied(session: Session, change: Change) -> Subscription:
    stub, wanted = session.services.config, change.wanted
    if change.action is Action.CREATE:
        parent, identifier = split_name(wanted.name)
        made = Subscription()
        made.CopyFrom(wanted)
        made.ClearField("name")
        return _done(
            change,
            stub.CreateSubscription(
                pb.CreateSubscriptionRequest(
                    parent=parent, subscription=made, subscription_id=identifier
                )
            ),
        )
    if change.action is Action.DELETE:
        request = pb.DeleteSubscriptionRequest(name=wanted.name, etag=wanted.etag)
        return _done(change, stub.DeleteSubscription(request))
    if change.action is Action.RESTORE:
        restored = stub.UndeleteSubscription(pb.UndeleteSubscriptionRequest(name=wanted.name))
        if not change.paths:
            return _done(change, restored)
    update = pb.UpdateSubscriptionRequest(subscription=wanted)
    update.update_mask.paths.extend(change.paths)
    return _done(change, stub.UpdateSubscription(update))


def _done(change: Change, answer: Subscription) -> Subscription:
    say(f"{change.action}d: {answer.name}")
    for warning in answer.warnings:
        say(f"warning: {warning}")
    return answer


def _show(found: Sequence[Change]) -> None:
    terminal = console()
    for change in found:
        mark, style = _MARKS[change.action]
        terminal.print(Text(f"{mark} {change.action} {change.wanted.name}", style=style))
        for it in change.differences:
            before = f"{it.before or '(none)'} → " if change.action is not Action.CREATE else ""
            text = f"    {it.field}: {before}{it.after or '(none)'}"
            terminal.print(Text(printable(text)), soft_wrap=True)
    say(_counts(found) if found else "nothing to change")


def _counts(found: Sequence[Change]) -> str:
    counted = Counter(each.action for each in found)
    return ", ".join(f"{counted[action]} to {action}" for action in Action if counted[action])


def _plain(change: Change) -> dict[str, Any]:
    return {
        "action": str(change.action),
        "name": change.wanted.name,
        "differences": [
            {"field": it.field, "before": it.before, "after": it.after} for it in change.differences
        ],
    }
