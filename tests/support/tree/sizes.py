"""
How large packages, rooms, files and functions may be.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

from tests.support.tree.sources import Source, Violation

ROOTS = ("dispatch_service", "config_service", "console", "service_runtime", "webhooksctl")
MOST_ROOT_FILES = 8
MOST_MODULES = 15
MOST_LINES = 300
MOST_TEST_LINES = 400
MOST_FUNCTION_LINES = 60


def crowded_roots(sources: Iterable[Source]) -> Iterator[Violation]:
    """
    Find packages with too many files outside of rooms, `__init__.py` included.
    """
    counts = Counter(str(PurePosixPath(source.path).parent) for source in sources)
    for root in ROOTS:
        if counts[root] > MOST_ROOT_FILES:
            text = f"{counts[root]} files outside of rooms, at most {MOST_ROOT_FILES} are allowed"
            yield Violation(root, 0, text)


def crowded_rooms(sources: Iterable[Source]) -> Iterator[Violation]:
    """
    Find folders of the packages with too many modules.
    """
    paths = [PurePosixPath(source.path) for source in sources if not source.is_test]
    counts = Counter(str(path.parent) for path in paths if path.name != "__init__.py")
    for folder, count in counts.items():
        if count > MOST_MODULES and folder not in ROOTS:
            yield Violation(folder, 0, f"{count} modules, at most {MOST_MODULES} are allowed")


def long_files(sources: Iterable[Source]) -> Iterator[Violation]:
    """
    Find files with too many lines; a test may have more.
    """
    for source in sources:
        most = MOST_TEST_LINES if source.is_test else MOST_LINES
        if source.lines > most:
            yield Violation(source.path, 0, f"{source.lines} lines, at most {most} are allowed")


def long_functions(sources: Iterable[Source]) -> Iterator[Violation]:
    """
    Find functions with too many lines, from `def` to the end of the body.
    """
    for source in sources:
        for node in source.nodes:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > MOST_FUNCTION_LINES:
                    text = f"`{node.name}` has {lines} lines, at most {MOST_FUNCTION_LINES}"
                    yield Violation(source.path, node.lineno, f"{text} are allowed")
