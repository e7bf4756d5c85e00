"""
The judgement of the fault test: what counts as survived, and what the run prints at its end.
"""

from __future__ import annotations

import pytest

from tests.faults.__main__ import chosen
from tests.faults.harness.model import Report, median, summary


def report(*checks: tuple[bool, bool], lost: int = 0) -> Report:
    """
    Make a report of checks: whether each is good, and whether it is timed.
    """
    made = Report(lost=lost)
    for good, timed in checks:
        made.expect(good, "a check", timed=timed)
    return made


@pytest.mark.parametrize(
    ("made", "survived", "only_late"),
    [
        (report(), False, False),
        (report((True, False)), True, False),
        (report((True, False), lost=1), False, False),
        (report((True, False), (False, False)), False, False),
        (report((True, False), (False, True)), False, True),
        (report((False, False), (False, True)), False, False),
        (report((False, True), lost=1), False, False),
    ],
)
def test_report_is_judged(made: Report, *, survived: bool, only_late: bool) -> None:
    """
    A fault is survived if all checks are good and nothing is lost; only a late one is repeated.
    """

    assert made.survived == survived
    assert made.only_late == only_late


def test_majority_of_the_runs_counts() -> None:
    """
    Of three runs the two that agree decide.
    """
    good, bad = report((True, True)), report((False, True))

    assert median([bad, good, good]) is good
    assert median([bad, good, bad]) is bad
    assert median([bad]) is bad


def test_summary_is_the_last_line() -> None:
    """
    Skipped faults are not counted, lost events are summed up.
    """
    skipped = Report(skipped="no room")
    runs = [report((True, False)), report((True, False), lost=3), skipped]

    assert summary(runs) == "faults 2, survived 1, lost 3"


def test_faults_are_chosen_by_name() -> None:
    """
    A name or the beginning of some chooses; one that matches nothing is refused with the list.
    """
    names = [fault.name for fault in chosen(["absence"])]

    assert names == ["absence.stopped", "absence.killed", "absence.paused"]
    assert len({fault.name for fault in chosen([])}) == len(chosen([]))
    with pytest.raises(ValueError, match=r"no fault nothing; there are: crashes\.by_a_delivery"):
        chosen(["nothing"])
