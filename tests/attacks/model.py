"""
An attack and what came of it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from tests.attacks.stage import Stage


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
        Whether all held.
        """
        return not self.failed and not self.late

    @property
    def only_late(self) -> bool:
        """
        Whether bounds of time alone were missed.
        """
        return bool(self.late) and not self.failed


@dataclass(frozen=True)
class Attack:
    """
    An attack by name.
    """

    name: str
    run: Callable[[Stage], Awaitable[Verdict]]
