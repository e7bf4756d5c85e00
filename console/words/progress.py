"""
How far a job is.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from google.protobuf.duration_pb2 import Duration

from console.words import durations
from console.words.results import Verdict
from shipedge.webhooks.dispatch.v1.resend_job_pb2 import ResendJob

_WORDS = {
    ResendJob.STATE_RUNNING: Verdict("Running", "plain"),
    ResendJob.STATE_SUCCEEDED: Verdict("Done", "good"),
    ResendJob.STATE_CANCELLED: Verdict("Cancelled", "bad", "what was made due before is sent"),
    ResendJob.STATE_FAILED: Verdict("Failed", "bad", "what was made due before is sent"),
}


@dataclass(frozen=True, slots=True)
class Progress:
    """
    A job in numbers and words: *done* of *total*, how many a second, and the time left, empty
    where it cannot be told.
    """

    done: int
    total: int
    rate: str
    left: str


def state(job: ResendJob) -> Verdict:
    """
    Say how far a job is.
    """
    return _WORDS.get(job.state, Verdict("Not known", "plain"))


def of_job(job: ResendJob, now: datetime) -> Progress:
    """
    Return how far a job is at the time *now*.
    """
    done = job.succeeded_count + job.skipped_count + job.failed_count
    # More may match while a job runs than were counted when it was made.
    total = max(done, job.total_count)
    ended = job.HasField("end_time")
    end = job.end_time.ToDatetime(UTC) if ended else now
    seconds = (end - job.create_time.ToDatetime(UTC)).total_seconds()
    if not done or seconds <= 0:
        return Progress(done, total, "", "")
    rate = done / seconds
    left = "" if ended else _left((total - done) / rate)
    return Progress(done, total, f"{rate:,.1f} a second", left)


def _left(seconds: float) -> str:
    whole = max(1, round(seconds))
    # Nobody needs the seconds of hours.
    step = next(step for step, limit in ((1, 90), (60, 5_400), (3_600, 2**62)) if whole < limit)
    return durations.shown(Duration(seconds=max(step, round(whole / step) * step)))
