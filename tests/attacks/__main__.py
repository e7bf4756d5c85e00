"""
The attack test: `python -m tests.attacks [ATTACK …]`. An ATTACK is the beginning of a name.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.attacks import (
    access_matrix,
    forbidden_owners,
    idle_streams,
    large_messages,
    markers,
    odd_values,
    revoked_callers,
    shares,
    suites,
)
from tests.attacks.harness.model import Attack, Verdict
from tests.attacks.suites import Suite

ATTACKS: list[Attack | Suite] = [
    *odd_values.ATTACKS,
    *suites.ATTACKS,
    *access_matrix.ATTACKS,
    *markers.ATTACKS,
    *forbidden_owners.ATTACKS,
    *revoked_callers.ATTACKS,
    *idle_streams.ATTACKS,
    *large_messages.ATTACKS,
    *shares.ATTACKS,
]
"""
All attacks, in the order in which they start: of those that bear others the longest come first.
"""

RUNS = 3
BESIDE = 3
"""
How many attacks that do not measure run at a time.
"""

_HEAD = f"{'attack':<28} {'verdict':<7} {'s':>4}  promise / seen"


async def once(attack: Attack | Suite) -> Verdict:
    """
    Attack once, bounded.
    """
    with tempfile.TemporaryDirectory(prefix="webhooks-attack-") as folder:
        try:
            async with asyncio.timeout(attack.seconds):
                return await attack.once(Path(folder))
        except Exception as error:  # noqa: BLE001 - it is reported, and the others go on
            return Verdict(failed=[" ".join(f"{type(error).__name__}: {error}".split())[:300]])


async def judged(attack: Attack | Suite) -> Verdict:
    """
    Attack once; if only a bound of time was missed, it must hold in two of three runs.
    """
    verdicts = [await once(attack)]
    while verdicts[0].only_late and len(verdicts) < RUNS:
        verdicts.append(await once(attack))
    return sorted(verdicts, key=lambda it: it.held)[len(verdicts) // 2]


def chosen(names: Sequence[str]) -> list[Attack | Suite]:
    """
    Return the attacks whose names begin with one of these, all if there is none. Raises
    `ValueError` for a name that none begins with.
    """
    for name in names:
        if not any(it.name.startswith(name) for it in ATTACKS):
            known = ", ".join(it.name for it in ATTACKS)
            raise ValueError(f"there is no attack {name}; there are: {known}")
    return [it for it in ATTACKS if not names or it.name.startswith(tuple(names))]


def row(attack: Attack | Suite, verdict: Verdict, seconds: float) -> str:
    """
    Write a row of the table.
    """
    word = "held" if verdict.held else "FAILED"
    first = f"{attack.name:<28} {word:<7} {seconds:>4.0f}  {attack.promise}"
    return f"{first}\n{'':>43}{verdict.text}"


async def run_all(attacks: Sequence[Attack | Suite]) -> int:
    """
    Run attacks: first those that bear others, a few at a time, then one after the other those that
    measure. Return how many held.
    """
    print(_HEAD, flush=True)
    limit = asyncio.Semaphore(BESIDE)

    async def shown(attack: Attack | Suite) -> bool:
        async with limit:
            started = time.monotonic()
            verdict = await judged(attack)
            print(row(attack, verdict, time.monotonic() - started), flush=True)
            return verdict.held

    held = sum(await asyncio.gather(*(shown(it) for it in attacks if not it.alone)))
    for attack in attacks:
        if attack.alone:
            held += await shown(attack)
    return held


def main(arguments: Sequence[str]) -> int:
    """
    Run the attack test from the command line; return the exit code.
    """
    parser = argparse.ArgumentParser(prog="python -m tests.attacks")
    parser.add_argument("names", nargs="*", metavar="ATTACK", help="default: all")
    parser.add_argument("--list", action="store_true", help="print the attacks and end")
    options = parser.parse_args(arguments)
    try:
        attacks = chosen(options.names)
    except ValueError as unknown:
        parser.error(str(unknown))
    if options.list:
        for attack in attacks:
            print(f"{attack.name:<28} {attack.promise}")
        return 0
    held = asyncio.run(run_all(attacks))
    print(f"attacks {len(attacks)}, held {held}")
    return int(held < len(attacks))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
