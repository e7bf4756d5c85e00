"""
A row of the table of failures, and causes, which are rows with a name.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

SECONDS = "{seconds}"
"""
Where the text of a timeout names its length.
"""


@dataclass(frozen=True, slots=True)
class Row:
    """
    What happened, and what to do about it, as customers read both: without a capital and a full
    stop. *kind* is a value of `FailureKind` without its prefix.
    """

    kind: str
    happened: str
    to_do: str

    @property
    def text(self) -> str:
        """
        Return both as one sentence.
        """
        return f"{self.happened}; {self.to_do}"


class FailureCause(Enum):
    """
    A cause of failed attempts. The values of all causes are rows.
    """

    @property
    def row(self) -> Row:
        """
        Return its row of the table.
        """
        row: Row = self.value
        return row

    @property
    def code(self) -> str:
        """
        Return the name of the cause, as it stands behind the text.
        """
        return self.name.lower()

    def happened(self, why: str = "", *, seconds: float | None = None) -> str:
        """
        Return what happened, more exactly where *why* is given. *seconds* is the length of a
        timeout.
        """
        within = "the deadline" if seconds is None else shown_seconds(seconds)
        text = self.row.happened.replace(SECONDS, within)
        return f"{text}: {why}" if why else text

    def text(self, why: str = "", *, seconds: float | None = None) -> str:
        """
        Return the text that customers read: what happened, what to do, and the code in brackets.
        """
        return f"{self.happened(why, seconds=seconds)}; {self.row.to_do} ({self.code})"


def shown_seconds(seconds: float) -> str:
    """
    Return a length in seconds, to a tenth: `10 seconds`.
    """
    number = f"{seconds:.1f}".removesuffix(".0")
    return f"{number} second" if number == "1" else f"{number} seconds"
