"""
`audit`: who changed or read what, and whether that record is whole.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from enum import StrEnum
from itertools import islice
from typing import Annotated, Any, Final

import typer

from shipedge.webhooks.client.pages import all_items
from shipedge.webhooks.config.v1 import config_admin_service_pb2 as config_pb
from shipedge.webhooks.config.v1.audit_entry_pb2 import AuditEntry
from shipedge.webhooks.dispatch.v1 import dispatch_admin_service_pb2 as dispatch_pb
from webhooksctl.options.flags import Limit, Output, Owner
from webhooksctl.options.groups import Flag, Given, takes
from webhooksctl.options.log_flags import TIMES
from webhooksctl.options.session import Session, owner_name_of, session_of
from webhooksctl.output.formats import Format, plain, row_of, show_rows, write
from webhooksctl.rpc.names import caller_name
from webhooksctl.words import filters
from webhooksctl.words.failures import REFUSED, CommandError
from webhooksctl.words.values import text_at

app = typer.Typer(no_args_is_help=True, help="Who changed or read what.")

ALL_OWNERS: Final = "-"

_COLUMNS: Final = (
    ("When", "create_time"),
    ("Caller", "caller"),
    ("Method", "method"),
    ("Resource", "resource"),
)

_FLAGS: Final = (
    *TIMES,
    Flag("caller", "Id or name of a caller."),
    Flag("method", "UpdateSubscription, for example."),
    Flag("resource", "The full name of a resource."),
)


class Service(StrEnum):
    """
    Whose log.
    """

    CONFIG = "config"
    DISPATCH = "dispatch"
    BOTH = "both"


Which = Annotated[Service, typer.Option("--service", help="Whose log.")]


@app.command("list")
@takes(_FLAGS)
def list_entries(
    ctx: typer.Context,
    *,
    given: Given,
    owner: Owner = "",
    service: Which = Service.BOTH,
    limit: Limit = 50,
    output: Output = Format.TABLE,
) -> None:
    """
    List entries, newest first; without --owner those of all owners.
    """
    session = session_of(ctx)
    parent = owner_name_of(owner) if owner else ALL_OWNERS
    logs = [_entries(session, parent, _filter(session, given), it) for it in _asked(service)]
    merged = heapq.merge(*logs, key=lambda it: it[1].create_time.ToNanoseconds(), reverse=True)
    found = list(islice(merged, limit or None))
    if output is Format.TABLE:
        titles = [*(title for title, _ in _COLUMNS), "Changes"]
        show_rows(titles, [[*row_of(it, _COLUMNS), _changes(it)] for _, it in found])
    else:
        write([{"service": str(name), **plain(it)} for name, it in found], output)


@app.command("verify")
def verify(
    ctx: typer.Context,
    *,
    service: Which = Service.BOTH,
    checkpoint: Annotated[
        str, typer.Option("--checkpoint", help="That of an earlier run; with one --service.")
    ] = "",
    output: Output = Format.TABLE,
) -> None:
    """
    Check that nobody changed the log. Keep the checkpoints elsewhere. Exits with 1 at a fault.
    """
    session = session_of(ctx)
    asked = _asked(service)
    if checkpoint and len(asked) > 1:
        raise CommandError("--checkpoint belongs to one log: say which with --service")
    found = {str(it): _verified(session, it, checkpoint) for it in asked}
    if output is Format.TABLE:
        titles = ["Service", "Verified", "Fault", "At", "Checkpoint"]
        show_rows(titles, [[name, *_row(it)] for name, it in found.items()])
    else:
        write([{"service": name, **plain(it)} for name, it in found.items()], output)
    if any(it.HasField("fault") for it in found.values()):
        raise typer.Exit(REFUSED)


def _asked(service: Service) -> list[Service]:
    return [Service.CONFIG, Service.DISPATCH] if service is Service.BOTH else [service]


def _log(session: Session, service: Service) -> tuple[Any, Any]:
    """
    Return the stub of a log and the module of its requests.
    """
    if service is Service.CONFIG:
        return session.services.config_admin, config_pb
    return session.services.dispatch_admin, dispatch_pb


def _entries(
    session: Session, parent: str, where: str, service: Service
) -> Iterator[tuple[Service, AuditEntry]]:
    stub, requests = _log(session, service)
    request = requests.ListAuditEntriesRequest(parent=parent, filter=where)
    for entry in all_items(stub.ListAuditEntries, request):
        yield service, entry


def _filter(session: Session, given: Given) -> str:
    try:
        parts = filters.between("create_time", given["since"], given["until"], session.clock())
    except ValueError as refused:
        raise CommandError(str(refused)) from refused
    caller = given["caller"] and caller_name(given["caller"])
    equal = {"caller": caller, "method": given["method"], "resource": given["resource"]}
    return filters.joined([*parts, *filters.equal(equal)])


def _changes(entry: AuditEntry) -> str:
    return "; ".join(
        f"{it.field} (secret)"
        if it.secret
        else f"{it.field}: {it.before or '-'} → {it.after or '-'}"
        for it in entry.changes
    )


def _verified(session: Session, service: Service, checkpoint: str) -> Any:
    """
    Return the last answer of a check of the whole log, with the count of all.
    """
    stub, requests = _log(session, service)
    count = 0
    while True:
        answer = stub.VerifyAuditLog(requests.VerifyAuditLogRequest(checkpoint=checkpoint))
        count += answer.verified_count
        if answer.complete or answer.HasField("fault"):
            answer.verified_count = count
            return answer
        checkpoint = answer.checkpoint


def _row(answer: Any) -> list[str]:
    fault = text_at(answer, "fault.kind") or "none"
    position = text_at(answer, "fault.position")
    return [str(answer.verified_count), fault, position, answer.checkpoint]
