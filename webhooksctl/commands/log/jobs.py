"""
`jobs`: resends of many deliveries.
"""

from __future__ import annotations

from typing import Annotated, Final

import typer

from shipedge.webhooks.dispatch.v1 import delivery_service_pb2 as pb
from shipedge.webhooks.dispatch.v1.resend_job_pb2 import ResendJob
from webhooksctl.commands.log.following import follow, show_job
from webhooksctl.options.flags import Limit, Output, Owner, Yes
from webhooksctl.options.session import Session, confirm, session_of
from webhooksctl.output.formats import Format, show_list, show_message

app = typer.Typer(no_args_is_help=True, help="Resends of many deliveries.")

Name = Annotated[str, typer.Argument(help="The id or name of a job.")]

_COLUMNS: Final = (
    ("Id", "name"),
    ("Created", "create_time"),
    ("State", "state"),
    ("Of", "total_count"),
    ("Done", "succeeded_count"),
    ("Skipped", "skipped_count"),
    ("Failed", "failed_count"),
    ("Requested by", "requested_by"),
)


@app.command("list")
def list_jobs(
    ctx: typer.Context, *, owner: Owner = "", limit: Limit = 50, output: Output = Format.TABLE
) -> None:
    """
    List the jobs of an owner, newest first.
    """
    session = session_of(ctx)
    parent = session.owner(owner)
    request = pb.ListResendJobsRequest(parent=parent)
    found = session.found(session.services.deliveries.ListResendJobs, request, limit)
    show_list(found, _COLUMNS, output, parent)


@app.command("get")
def get(
    ctx: typer.Context, name: Name, *, owner: Owner = "", output: Output = Format.TABLE
) -> None:
    """
    Show a job.
    """
    session = session_of(ctx)
    show_job(resend_job(session, session.name("resendJobs", owner, name)), output)


@app.command("watch")
def watch(
    ctx: typer.Context, name: Name, *, owner: Owner = "", output: Output = Format.TABLE
) -> None:
    """
    Show how far a job is until its end, with its rate and the time left.
    """
    session = session_of(ctx)
    job = resend_job(session, session.name("resendJobs", owner, name))
    show_job(follow(job, lambda full: resend_job(session, full), "resending"), output)


@app.command("cancel")
def cancel(
    ctx: typer.Context,
    name: Name,
    *,
    owner: Owner = "",
    yes: Yes = False,
    output: Output = Format.TABLE,
) -> None:
    """
    Stop a job; what it made due goes on.
    """
    session = session_of(ctx)
    full = session.name("resendJobs", owner, name)
    confirm(f"Stop {full}?", yes=yes)
    request = pb.CancelResendJobRequest(name=full)
    show_message(session.services.deliveries.CancelResendJob(request), output)


def resend_job(session: Session, name: str) -> ResendJob:
    """
    Return a job by its name.
    """
    return session.services.deliveries.GetResendJob(pb.GetResendJobRequest(name=name))
