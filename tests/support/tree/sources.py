"""
The parsed Python files that the tree check reads, and a violation that it finds.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.project_files import ROOT, hand_written

TESTS = "tests/"


@dataclass(frozen=True, slots=True, order=True)
class Violation:
    """
    A place that breaks a rule; *line* is 0 where the whole file or folder does.
    """

    path: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.text}" if self.line else f"{self.path}: {self.text}"


@dataclass(frozen=True, slots=True)
class Source:
    """
    A file: its path from the root, its number of lines, and the nodes of its syntax tree.
    """

    path: str
    lines: int
    nodes: tuple[ast.AST, ...]

    @property
    def is_test(self) -> bool:
        """
        Tell whether the file lies among the tests.
        """
        return self.path.startswith(TESTS)


def parse(path: str, text: str) -> Source:
    """
    Parse a file. Raises `SyntaxError`.
    """
    return Source(path, len(text.splitlines()), tuple(ast.walk(ast.parse(text, path))))


def read_sources(root: Path = ROOT) -> list[Source]:
    """
    Read the hand-written files of the packages, the tests, and the tools of the protos.
    """
    return [parse(path, (root / path).read_text()) for path in _paths(root)]


def _paths(root: Path) -> Iterator[str]:
    yield from hand_written(root)
    for path in (*sorted((root / TESTS).rglob("*.py")), *sorted((root / "proto").glob("*.py"))):
        if "__pycache__" not in path.parts:
            yield path.relative_to(root).as_posix()
