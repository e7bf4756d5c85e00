"""
Jobs until their end, with a progress bar.
"""

from __future__ import annotations

import time
from typing import Final

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

from shipedge.webhooks.dispatch.v1.delivery_service_pb2 import GetResendJobRequest
from shipedge.webhooks.dispatch.v1.resend_job_pb2 import ResendJob
from webhooksctl.options.session import Session, say

POLL_SECONDS: Final = 0.5


class _Rate(ProgressColumn):
    """
    How many in a second.
    """

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed or 0:.0f}/s")


def follow(session: Session, job: ResendJob) -> ResendJob:
    """
    Return a job at its end. A terminal sees how far it is, its rate and the time left; Ctrl-C
    ends the command and not the job.
    """
    progress = Progress(
        TextColumn("resending"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=not Console(stderr=True).is_terminal,
    )
    try:
        with progress:
            return _followed(session, job, progress)
    except KeyboardInterrupt:
        say(f"the job goes on: webhooksctl jobs get {job.name}")
        raise


def _followed(session: Session, job: ResendJob, progress: Progress) -> ResendJob:
    bar = progress.add_task("resending", total=job.total_count)
    while True:
        done = job.succeeded_count + job.skipped_count + job.failed_count
        progress.update(bar, completed=done, total=max(job.total_count, done))
        if job.state != ResendJob.STATE_RUNNING:
            return job
        time.sleep(POLL_SECONDS)
        job = session.services.deliveries.GetResendJob(GetResendJobRequest(name=job.name))
