"""
`jobs`: resends and replays of many deliveries.
"""

from __future__ import annotations

import heapq
from itertools import islice
from typing import Annotated, Final

import typer

from shipedge.webhooks.dispatch.v1 import delivery_service_pb2 as pb
from shipedge.webhooks.dispatch.v1.replay_job_pb2 import ReplayJob
from shipedge.webhooks.dispatch.v1.resend_job_pb2 import ResendJob
from webhooksctl.commands.log.following import follow, show_job
from webhooksctl.options.flags import Limit, Output, Owner, Yes
from webhooksctl.options.session import Session, confirm, session_of
from webhooksctl.output.formats import Format, show_list
from webhooksctl.rpc.names import is_replay_job

app = typer.Typer(no_args_is_help=True, help="Resends and replays of many deliveries.")

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
    List the resends and replays of an owner, newest first.
    """
    session = session_of(ctx)
    parent, stub = session.owner(owner), session.services.deliveries
    resends = session.found(stub.ListResendJobs, pb.ListResendJobsRequest(parent=parent), limit)
    replays = session.found(stub.ListReplayJobs, pb.ListReplayJobsRequest(parent=parent), limit)
    jobs = heapq.merge(
        resends, replays, key=lambda it: int(it.create_time.ToNanoseconds()), reverse=True
    )
    show_list(islice(jobs, limit or None), _COLUMNS, output, parent)


@app.command("get")
def get(
    ctx: typer.Context, name: Name, *, owner: Owner = "", output: Output = Format.TABLE
) -> None:
    """
    Show a job. Exits with 1 if it failed.
    """
    session = session_of(ctx)
    full = _full(session, owner, name)
    if is_replay_job(full):
        show_job(replay_job(session, full), output)
    else:
        show_job(resend_job(session, full), output)


@app.command("watch")
def watch(
    ctx: typer.Context, name: Name, *, owner: Owner = "", output: Output = Format.TABLE
) -> None:
    """
    Show how far a job is until its end, with its rate and the time left.
    """
    session = session_of(ctx)
    full = _full(session, owner, name)
    if is_replay_job(full):
        replay = replay_job(session, full)
        show_job(follow(replay, lambda it: replay_job(session, it), "replaying"), output)
    else:
        resend = resend_job(session, full)
        show_job(follow(resend, lambda it: resend_job(session, it), "resending"), output)


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
    full, stub = _full(session, owner, name), session.services.deliveries
    confirm(f"Stop {full}?", yes=yes)
    if is_replay_job(full):
        show_job(stub.CancelReplayJob(pb.CancelReplayJobRequest(name=full)), output)
    else:
        show_job(stub.CancelResendJob(pb.CancelResendJobRequest(name=full)), output)


def resend_job(session: Session, name: str) -> ResendJob:
    """
    Return a resend by its name.
    """
    return session.services.deliveries.GetResendJob(pb.GetResendJobRequest(name=name))


def replay_job(session: Session, name: str) -> ReplayJob:
    """
    Return a replay by its name.
    """
    return session.services.deliveries.GetReplayJob(pb.GetReplayJobRequest(name=name))


def _full(session: Session, owner: str, text: str) -> str:
    return session.name("replayJobs" if is_replay_job(text) else "resendJobs", owner, text)
