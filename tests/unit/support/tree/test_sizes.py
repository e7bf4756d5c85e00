"""
How large packages, rooms, files and functions may be.
"""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from tests.support.tree.sizes import crowded_rooms, crowded_roots, long_files, long_functions
from tests.support.tree.sources import Source, Violation, parse


def files(folder: str, count: int) -> list[Source]:
    """
    Make empty files.
    """
    return [parse(f"{folder}/file_{number}.py", "") for number in range(count)]


def paths(found: Iterable[Violation]) -> list[str]:
    """
    Return where the violations are.
    """
    return [violation.path for violation in found]


@pytest.mark.parametrize(("count", "expected"), [(8, []), (9, ["dispatch_service"])])
def test_package_roots(count: int, expected: list[str]) -> None:
    """
    Eight files may lie outside of rooms; those in rooms do not count.
    """
    sources = [*files("dispatch_service", count), *files("dispatch_service/log", 9)]

    assert paths(crowded_roots(sources)) == expected


@pytest.mark.parametrize(
    ("folder", "count", "expected"),
    [
        ("dispatch_service/log", 15, []),
        ("dispatch_service/log", 16, ["dispatch_service/log"]),
        ("service_runtime/rpc", 16, ["service_runtime/rpc"]),
        ("tests/unit/log", 16, []),
    ],
)
def test_rooms(folder: str, count: int, expected: list[str]) -> None:
    """
    A folder of the packages has at most 15 modules; `__init__.py` is none.
    """
    sources = [*files(folder, count), parse(f"{folder}/__init__.py", "")]

    assert paths(crowded_rooms(sources)) == expected


@pytest.mark.parametrize(
    ("path", "lines", "expected"),
    [
        ("dispatch_service/app.py", 300, []),
        ("dispatch_service/app.py", 301, ["dispatch_service/app.py"]),
        ("tests/unit/test_app.py", 400, []),
        ("tests/unit/test_app.py", 401, ["tests/unit/test_app.py"]),
    ],
)
def test_files(path: str, lines: int, expected: list[str]) -> None:
    """
    A file has at most 300 lines, a test 400.
    """
    assert paths(long_files([parse(path, "\n" * lines)])) == expected


@pytest.mark.parametrize(("lines", "expected"), [(60, []), (61, [2])])
@pytest.mark.parametrize("keyword", ["def", "async def"])
def test_functions(keyword: str, lines: int, expected: list[int]) -> None:
    """
    A function has at most 60 lines; decorators do not count.
    """
    body = "\n".join(["    pass"] * (lines - 1))
    source = parse("dispatch_service/app.py", f"@decorated\n{keyword} run():\n{body}\n")

    assert [violation.line for violation in long_functions([source])] == expected
