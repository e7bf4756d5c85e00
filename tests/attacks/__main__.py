"""
The attack test: `python -m tests.attacks [ATTACK …]`. An ATTACK is a name or its first part.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.attacks import forbidden_owners, idle_streams, large_messages, revoked_callers
from tests.attacks.model import Attack, Verdict
from tests.attacks.stage import running_stage

ATTACKS = [
    *forbidden_owners.ATTACKS,
    *revoked_callers.ATTACKS,
    *idle_streams.ATTACKS,
    *large_messages.ATTACKS,
]
RUNS = 3
ATTACK_SECONDS = 180.0


async def once(attack: Attack) -> Verdict:
    """
    Attack a new pair.
    """
    with tempfile.TemporaryDirectory() as folder:
        try:
            async with asyncio.timeout(ATTACK_SECONDS), running_stage(Path(folder)) as stage:
                return await attack.run(stage)
        except Exception as error:  # noqa: BLE001 - it is reported, and the others go on
            return Verdict(failed=[f"{type(error).__name__}: {error}"[:300]])


async def judged(attack: Attack) -> Verdict:
    """
    Attack once; if only a bound of time was missed, it must hold in two of three runs.
    """
    verdicts = [await once(attack)]
    while verdicts[0].only_late and len(verdicts) < RUNS:
        verdicts.append(await once(attack))
    return sorted(verdicts, key=lambda it: it.held)[len(verdicts) // 2]


async def main(names: Sequence[str]) -> int:
    """
    Run the attacks; return how many did not hold.
    """
    chosen = [it for it in ATTACKS if not names or any(it.name.startswith(n) for n in names)]
    held = 0
    for attack in chosen:
        verdict = await judged(attack)
        held += verdict.held
        text = "; ".join(verdict.seen if verdict.held else [*verdict.failed, *verdict.late])
        print(f"{'held' if verdict.held else 'FAILED':<7} {attack.name:<32} {text}", flush=True)
    print(f"attacks {len(chosen)}, held {held}")
    return len(chosen) - held


if __name__ == "__main__":
    sys.exit(bool(asyncio.run(main(sys.argv[1:]))))
