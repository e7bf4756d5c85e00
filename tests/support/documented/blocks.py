"""
The fenced blocks of a document. No I/O.
"""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass

COMMANDS = "sh"

_BLOCK = re.compile(
    r"^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^ *```$", re.MULTILINE | re.DOTALL
)
_FILE = re.compile(r"^# ([\w.-]+\.(?:py|yaml))$", re.MULTILINE)
_PRODUCTION = re.compile(r"config\.internal|dispatch\.internal|/etc/webhooks|systemctl|migrate --")


@dataclass(frozen=True, slots=True)
class Block:
    """
    A fenced block; *line* is where it begins.
    """

    language: str
    text: str
    line: int

    @property
    def file(self) -> str:
        """
        The file that a reader is told to save it as, by a comment in its first line.
        """
        found = _FILE.match(self.text)
        return found[1] if found else ""

    @property
    def production(self) -> bool:
        """
        Whether it is for an installation in production mode.
        """
        return bool(_PRODUCTION.search(self.text))


def blocks_of(document: str) -> list[Block]:
    """
    Return the blocks of a document, without the indentation of lists.
    """
    return [
        Block(
            found["language"],
            textwrap.dedent(found["text"]),
            document[: found.start()].count("\n") + 1,
        )
        for found in _BLOCK.finditer(document)
    ]
