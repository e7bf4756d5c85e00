"""
Jobs until their end, with a progress bar.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeVar

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from shipedge.webhooks.dispatch.v1.replay_job_pb2 import ReplayJob
from shipedge.webhooks.dispatch.v1.resend_job_pb2 import ResendJob
from webhooksctl.options.session import say
from webhooksctl.output.formats import Format, show_message
from webhooksctl.words.failures import REFUSED

POLL_SECONDS: Final = 0.5

JobT = TypeVar("JobT", ResendJob, ReplayJob)


class _Rate(ProgressColumn):
    """
    How many in a second.
    """

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed or 0:.0f}/s")


def follow(job: JobT, read: Callable[[str], JobT], what: str) -> JobT:
    """
    Return a job at its end; *read* returns it by its name. A terminal sees how far it is, its rate
    and the time left; Ctrl-C ends the command and not the job.
    """
    progress = Progress(
        TextColumn(what),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=not Console(stderr=True).is_terminal,
    )
    try:
        with progress:
            return _followed(job, read, progress)
    except KeyboardInterrupt:
        say(f"the job goes on: webhooksctl jobs get {job.name}")
        raise


def _followed(job: JobT, read: Callable[[str], JobT], progress: Progress) -> JobT:
    bar = progress.add_task("", total=job.total_count)
    while True:
        done = job.succeeded_count + job.skipped_count + job.failed_count
        progress.update(bar, completed=done, total=max(job.total_count, done))
        if job.state != job.STATE_RUNNING:
            return job
        time.sleep(POLL_SECONDS)
        job = read(job.name)


def show_job(job: JobT, output: Format) -> None:
    """
    Show a job. Exits with 1 if it failed.
    """
    show_message(job, output)
    if job.state == job.STATE_FAILED:
        say(f"the job failed: {job.error.message}")
        raise typer.Exit(REFUSED)
