"""
An attack and what came of it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.attacks.harness.setups import Setup
from tests.attacks.harness.stage import Stage, running_stage


@dataclass
class Verdict:
    """
    What was expected of the service, and whether it held. What was only *late* may be judged
    again.
    """

    seen: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    late: list[str] = field(default_factory=list)

    def expect(self, holds: bool, text: str, *, late: bool = False) -> None:
        """
        Note whether something held.
        """
        self.seen.append(text)
        if not holds:
            (self.late if late else self.failed).append(text)

    def note(self, text: str) -> None:
        """
        Note something that is not judged.
        """
        self.seen.append(text)

    @property
    def held(self) -> bool:
        """
        Whether all held, and something was looked at.
        """
        return bool(self.seen) and not self.failed and not self.late

    @property
    def only_late(self) -> bool:
        """
        Whether bounds of time alone were missed.
        """
        return bool(self.late) and not self.failed

    @property
    def text(self) -> str:
        """
        All that was seen in one line; what did not hold stands first, marked.
        """
        bad = [*self.failed, *self.late]
        good = [it for it in self.seen if it not in bad]
        return "; ".join([*(f"NOT: {it}" for it in bad), *good])


@dataclass(frozen=True)
class Attack:
    """
    An attack by name on a pair of its own, and the promise that must hold meanwhile. It runs
    *alone*, because it measures, or beside others.
    """

    name: str
    run: Callable[[Stage], Awaitable[Verdict]]
    promise: str
    setup: Setup = field(default_factory=Setup)
    seconds: float = 180.0
    alone: bool = True

    async def once(self, directory: Path) -> Verdict:
        """
        Attack a new pair, whose files are in *directory*.
        """
        async with running_stage(directory, self.setup) as stage:
            return await self.run(stage)
