"""
Runs scenarios, some at a time, and prints what was seen.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

from tests.faults.harness.model import Fault, Report, median, summary
from tests.faults.harness.site import Site, running_site

LOGS = Path("build/faults")
LATE_RUNS = 2
MOST_SLOWNESS = 4.0

_HEAD = f"{'fault':<28} {'database':<10} {'verdict':<8} {'s':>4}  promise / seen"


@dataclass(frozen=True, slots=True)
class Run:
    """
    A fault on a database.
    """

    fault: Fault
    database: str

    @property
    def directory(self) -> Path:
        return LOGS.absolute() / f"{self.fault.name}-{self.database}"

    async def once(self) -> Report:
        """
        Run the scenario once, bounded; an error is a check that failed.
        """
        shutil.rmtree(self.directory, ignore_errors=True)
        report, seconds = Report(), self.fault.seconds * slowness()
        try:
            async with asyncio.timeout(seconds) as bound:
                async with self._site() as site:
                    site.report = report
                    await self.fault.run(site)
        except TimeoutError:
            text = f"within {seconds:.0f} s" if bound.expired() else "in time"
            report.expect(False, text)
            self._note()
        except Exception as error:  # noqa: BLE001 - it is reported, and the others go on
            text = " ".join(f"{type(error).__name__}: {error}".split())
            report.expect(False, text[:300])
            self._note()
        return report

    def _site(self) -> AbstractAsyncContextManager[Site]:
        return running_site(self.directory, self.database, moves_clock=self.fault.moves_clock)

    def _note(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        (self.directory / "error.txt").write_text(traceback.format_exc())

    async def judged(self) -> Report:
        """
        Run the scenario; if only a bound of time was missed, the median of three runs counts.
        """
        reports = [await self.once()]
        if reports[0].only_late:
            reports += [await self.once() for _ in range(LATE_RUNS)]
        return median(reports)


def slowness() -> float:
    """
    Return how many times slower than alone a scenario may be here: by the load for each core.

    It lengthens the bound of a scenario, never that of a promise.
    """
    return min(max(os.getloadavg()[0] / (os.cpu_count() or 1), 1.0), MOST_SLOWNESS)


async def run_all(runs: Sequence[Run], jobs: int) -> list[Report]:
    """
    Run all, those that wait *jobs* at a time, and of those that are busy one beside them; print a
    row for each when it has ended.
    """
    waiting, busy = asyncio.Semaphore(max(jobs - 1, 1)), asyncio.Semaphore(1)
    running = asyncio.current_task()
    assert running is not None
    # Cancelled, so that nothing that was started is left behind.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)
    print(_HEAD, flush=True)

    async def limited(run: Run) -> Report:
        async with busy if run.fault.busy and jobs > 1 else waiting:
            started = time.monotonic()
            report = await run.judged()
            print(row(run, report, time.monotonic() - started), flush=True)
            return report

    return list(await asyncio.gather(*(limited(run) for run in runs)))


def row(run: Run, report: Report, seconds: float) -> str:
    """
    Write a row of the table.
    """
    verdict = "skipped" if report.skipped else "survived" if report.survived else "FAILED"
    first = f"{run.fault.name:<28} {run.database:<10} {verdict:<8} {seconds:>4.0f}"
    return f"{first}  {run.fault.promise}\n{'':>53}{report.skipped or report.seen}"


def main(faults: Sequence[Fault], databases: Sequence[str], jobs: int) -> int:
    """
    Run *faults* on *databases*; return the exit code.
    """
    runs = [Run(fault, kind) for fault in faults for kind in fault.databases if kind in databases]
    reports = asyncio.run(run_all(runs, jobs))
    if not all(report.survived or report.skipped for report in reports):
        print(f"Logs, requests and ledgers are in {LOGS}.", file=sys.stderr)
    print(summary(reports))
    return int(not all(report.survived or report.skipped for report in reports))
