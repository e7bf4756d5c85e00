"""
Which revisions a command runs, so that two versions of a service can work side by side.

A revision says in `phase` what it does. `expand` adds what the version before does not miss;
`contract` takes away what only that version needs, when none of its processes runs any more.
Revisions of before there were phases have none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

EXPAND = "expand"
CONTRACT = "contract"


class Step(Enum):
    """
    Which of the revisions that a database lacks are run.
    """

    ALL = "all"
    EXPAND = EXPAND
    CONTRACT = CONTRACT


class OutOfOrderError(Exception):
    """
    The asked step cannot be taken now. The message says what is to be done before.
    """


@dataclass(frozen=True, slots=True)
class Revision:
    """
    A revision and its phase, which is empty for those of before there were phases.
    """

    name: str
    phase: str = EXPAND


def to_run(lacking: Sequence[Revision], step: Step, *, empty: bool = False) -> Sequence[Revision]:
    """
    Return those of the *lacking* revisions, in their order, that *step* runs. All of them in an
    *empty* database, which no other version uses.

    Raises `OutOfOrderError` if a revision that expands comes after one that contracts, or is
    lacking when *step* is to contract.
    """
    if empty or step is Step.ALL:
        return lacking
    ready = _expanding(lacking)
    if step is Step.EXPAND:
        if late := [it.name for it in lacking[len(ready) :] if it.phase != CONTRACT]:
            raise OutOfOrderError(
                f"the revision {lacking[len(ready)].name} contracts what an earlier version needs,"
                f" and {late[0]} comes after it: run migrate --contract of the version that"
                " serves now, or stop all processes of the service and run migrate"
            )
        return ready
    if ready:
        raise OutOfOrderError(
            f"the revision {ready[0].name} is to expand first: run migrate --expand, then replace"
            " all processes of earlier versions"
        )
    return lacking


def needed_by_all(applied: Sequence[Revision]) -> str:
    """
    Return the newest of the *applied* revisions that contracts: only versions that know it work
    with the tables. Empty if there is none.
    """
    return next((it.name for it in reversed(applied) if it.phase == CONTRACT), "")


def _expanding(lacking: Sequence[Revision]) -> Sequence[Revision]:
    first = next((at for at, it in enumerate(lacking) if it.phase == CONTRACT), len(lacking))
    return lacking[:first]
