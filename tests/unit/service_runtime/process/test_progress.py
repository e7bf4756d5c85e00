"""
When the loops that write last got through.
"""

from __future__ import annotations

import sqlite3

import pytest
from structlog.testing import capture_logs

from service_runtime.process.periodic import Periodic
from service_runtime.process.progress import (
    BEAT_SECONDS,
    STALLED_SECONDS,
    Progress,
    Readiness,
    StalledError,
)

pytestmark = pytest.mark.anyio

AWAY = ConnectionRefusedError(111, "the database is away")


class Loop:
    """
    A loop whose clock and database a test commands.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self.beats = self.woken = 0
        self.error: Exception | None = None
        self.progress = Progress("work", self._write, lambda: self.now)
        self.progress.wake = self._wake

    async def _write(self) -> None:
        if self.error is not None:
            raise self.error
        self.beats += 1

    def _wake(self) -> None:
        self.woken += 1


def damaged() -> sqlite3.Error:
    """
    Make the error of a damaged file.
    """
    error = sqlite3.DatabaseError("database disk image is malformed")
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error


@pytest.mark.parametrize(
    ("seconds", "due", "stalled"),
    [
        (0.0, False, False),
        (BEAT_SECONDS - 0.1, False, False),
        (BEAT_SECONDS, True, False),
        (STALLED_SECONDS - 0.1, True, False),
        (STALLED_SECONDS, True, True),
    ],
)
def test_spans(seconds: float, *, due: bool, stalled: bool) -> None:
    """
    After five seconds a heartbeat is due, after ten the loop has stalled; work begins anew.
    """
    loop = Loop()
    loop.now = seconds
    assert (loop.progress.due, bool(loop.progress.problem())) == (due, stalled)
    loop.progress.through()
    assert (loop.progress.due, loop.progress.problem()) == (False, "")


async def test_heartbeat_counts_as_getting_through() -> None:
    """
    It is written only when it is due; one that fails is logged.
    """
    loop = Loop()
    await loop.progress.beat()
    loop.now = STALLED_SECONDS
    loop.error = AWAY
    with capture_logs() as logs:
        await loop.progress.beat()
    assert (loop.beats, loop.progress.problem()) == (0, "work: nothing written for 10 s")
    assert [line["event"] for line in logs] == ["store.heartbeat_failed"]

    loop.error = None
    await loop.progress.beat()
    assert (loop.beats, loop.progress.problem()) == (1, "")


async def test_damage_counts_until_work_gets_through() -> None:
    """
    A heartbeat touches other pages than the work that failed.
    """
    loop = Loop()
    loop.progress.failed(AWAY)
    assert loop.progress.problem() == ""
    loop.progress.failed(damaged())
    loop.now = BEAT_SECONDS
    await loop.progress.beat()
    assert loop.progress.problem() == "work: the database is damaged"
    loop.progress.through()
    assert loop.progress.problem() == ""


async def test_readiness_names_the_loops_that_stall() -> None:
    """
    It wakes a loop whose heartbeat is due, so that it shows whether it gets through.
    """
    idle, busy = Loop(), Loop()
    readiness = Readiness([idle.progress, busy.progress])
    await readiness.check()
    assert idle.woken == 0

    idle.now = BEAT_SECONDS
    await readiness.check()
    assert (idle.woken, busy.woken) == (1, 0)

    idle.now = STALLED_SECONDS
    with pytest.raises(StalledError, match="work: nothing written for 10 s"):
        await readiness.check()


async def test_periodic_loop_notes_its_rounds() -> None:
    """
    A round that fails does not get through.
    """
    loop = Loop()
    errors: list[Exception] = [damaged()]

    async def run_once() -> None:
        if errors:
            raise errors.pop()

    periodic = Periodic(run_once, pause_seconds=60, failure="work.failed", progress=loop.progress)
    await periodic._worked()
    assert loop.progress.problem() == "work: the database is damaged"
    loop.now = STALLED_SECONDS
    await periodic._worked()
    assert loop.progress.problem() == ""
