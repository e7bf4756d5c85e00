"""
Which revisions a step runs.
"""

from __future__ import annotations

import pytest

from service_runtime.database.revisions.phases import (
    OutOfOrderError,
    Revision,
    Step,
    needed_by_all,
    to_run,
)

PHASES = {"e": "expand", "c": "contract", "-": ""}


def chain(phases: str) -> list[Revision]:
    """
    Return revisions 1, 2, … with the *phases* of which these are the first letters.
    """
    return [Revision(str(at), PHASES[it]) for at, it in enumerate(phases, start=1)]


@pytest.mark.parametrize(
    ("lacking", "step", "names"),
    [
        ("", Step.ALL, ""),
        ("", Step.EXPAND, ""),
        ("", Step.CONTRACT, ""),
        ("eec", Step.ALL, "123"),
        ("ece", Step.ALL, "123"),
        ("eec", Step.EXPAND, "12"),
        ("ee", Step.EXPAND, "12"),
        # Those without a phase come from a time when all processes were stopped.
        ("--e", Step.EXPAND, "123"),
        ("c", Step.EXPAND, ""),
        ("cc", Step.CONTRACT, "12"),
    ],
)
def test_steps(lacking: str, step: Step, names: str) -> None:
    """
    A step runs what it is for, in order, and nothing after it.
    """
    assert [it.name for it in to_run(chain(lacking), step)] == list(names)


@pytest.mark.parametrize(
    ("lacking", "step", "message"),
    [
        ("ce", Step.EXPAND, r"revision 1 contracts .* and 2 comes after it: run .*--contract of"),
        ("ecce", Step.EXPAND, r"revision 2 contracts .* and 4 comes after"),
        ("ec", Step.CONTRACT, r"revision 1 is to expand first: run migrate --expand"),
        ("-", Step.CONTRACT, r"revision 1 is to expand first"),
    ],
)
def test_out_of_order(lacking: str, step: Step, message: str) -> None:
    """
    No step passes over a revision, or runs one that is not its own; the error says what to do.
    """
    with pytest.raises(OutOfOrderError, match=message):
        to_run(chain(lacking), step)


@pytest.mark.parametrize("step", Step)
def test_empty_database(step: Step) -> None:
    """
    No other version uses an empty database, so it gets all revisions.
    """
    assert len(to_run(chain("-ecec"), step, empty=True)) == 5


@pytest.mark.parametrize(("applied", "needed"), [("", ""), ("-e", ""), ("ecec", "4"), ("ece", "2")])
def test_needed_by_all(applied: str, needed: str) -> None:
    """
    A version must know the newest revision that contracts.
    """
    assert needed_by_all(chain(applied)) == needed
