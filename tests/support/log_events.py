"""
The log events of the services, as their code writes them.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from tests.support.project_files import ROOT

PACKAGES = ("config_service", "dispatch_service", "service_runtime")
LEVELS = ("debug", "info", "warning", "error")

_EVENT = re.compile(r"[a-z_]+\.[a-z_]+")
_HELPERS = {
    "FailureLog": ("error", ("error_type", "problem", "count", "exception")),
    "SampledLines": ("warning", ("count",)),
}
"""
The classes that write lines for others: the level of their lines, and the fields that they add.
"""

_CONTAIN_HELPERS = frozenset({"failures.py", "sampled_lines.py"})


@dataclass
class LogEvent:
    """
    A log event with the levels and the fields of its lines. Fields may be *open*: more are passed
    on from elsewhere.
    """

    levels: set[str] = field(default_factory=set)
    fields: set[str] = field(default_factory=set)
    open: bool = False

    def add(self, level: str, keywords: Sequence[ast.keyword]) -> None:
        """
        Add what one call says of it.
        """
        self.levels.add("error" if level == "exception" else level)
        for keyword in keywords:
            if keyword.arg is None:
                self.open = True
            else:
                self.fields.add("exception" if keyword.arg == "exc_info" else keyword.arg)
        if level == "exception":
            self.fields.add("exception")


class UnknownEventError(Exception):
    """
    A line of the log has a name that the code does not say in one place.
    """


@cache
def log_events() -> Mapping[str, LogEvent]:
    """
    Return all log events by name. Raises `UnknownEventError`.
    """
    files = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    return events_of({path: path.read_text() for path in files})


def events_of(texts: Mapping[Path, str]) -> Mapping[str, LogEvent]:
    """
    Return the log events of files by name. Raises `UnknownEventError`.
    """
    trees = {path: ast.parse(text) for path, text in texts.items()}
    constants = dict(pair for tree in trees.values() for pair in _constants(tree))
    found: dict[str, LogEvent] = {}
    for path, tree in trees.items():
        for name, level, keywords in _File(path, tree, constants).lines():
            found.setdefault(name, LogEvent()).add(level, keywords)
    return dict(sorted(found.items()))


def _constants(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=str(text))):
                if _EVENT.fullmatch(text):
                    yield name, text


LogCall = tuple[str, str, Sequence[ast.keyword]]


class _File:
    """
    The log lines of one file; *constants* are those of all files.
    """

    def __init__(self, path: Path, tree: ast.Module, constants: Mapping[str, str]) -> None:
        self._path = path
        self._calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
        self._constants = constants
        called = {id(call.func) for call in self._calls}
        # The levels that a variable such as `write` may have.
        self._levels = {
            node.attr
            for node in ast.walk(tree)
            if _is_level(node) and isinstance(node, ast.Attribute) and id(node) not in called
        }
        self._helpers = dict(self._assigned(tree))

    def lines(self) -> Iterator[LogCall]:
        for call in self._calls:
            yield from self._direct(call)
            yield from self._of_helper(call)

    def _direct(self, call: ast.Call) -> Iterator[LogCall]:
        if self._path.name in _CONTAIN_HELPERS:
            return
        match call.func:
            case ast.Attribute(attr=level) if _is_level(call.func):
                for name in self._names(call.args[0]):
                    yield name, level, call.keywords
            case ast.Name(id="write") if call.args and isinstance(call.args[0], ast.Constant):
                for name in self._names(call.args[0]):
                    for level in self._levels:
                        yield name, level, call.keywords

    def _of_helper(self, call: ast.Call) -> Iterator[LogCall]:
        """
        Yield the lines of helpers: where they are made, where they are used, and where one is
        made inside of what is called with `failure`.
        """
        match call.func:
            case ast.Name(id=kind) if kind in _HELPERS and call.args:
                yield from self._made(kind, call.args[0])
            case ast.Attribute(value=value, attr="log" | "isolated"):
                for kind, name in self._helpers.get(ast.unparse(value), ()):
                    yield name, _HELPERS[kind][0], call.keywords
        for keyword in call.keywords:
            if keyword.arg == "failure":
                yield from self._made("FailureLog", keyword.value)

    def _made(self, kind: str, given: ast.expr) -> Iterator[LogCall]:
        level, fields = _HELPERS[kind]
        for name in self._names(given, optional=True):
            yield name, level, [ast.keyword(it, ast.Constant(None)) for it in fields]

    def _assigned(self, tree: ast.Module) -> Iterator[tuple[str, list[tuple[str, str]]]]:
        """
        Yield the variables that hold helpers, with their kinds and events.
        """
        for node in ast.walk(tree):
            match node:
                case ast.Assign(
                    targets=[target],
                    value=ast.Call(func=ast.Name(id=kind), args=[first, *_]),
                ) if kind in _HELPERS:
                    names = self._names(first, optional=True)
                    yield ast.unparse(target), [(kind, name) for name in names]

    def _names(self, given: ast.expr, *, optional: bool = False) -> list[str]:
        match given:
            case ast.Constant(value=str(name)):
                return [name]
            case ast.IfExp(body=body, orelse=other):
                return self._names(body) + self._names(other)
            case ast.Name(id=name) if name in self._constants:
                return [self._constants[name]]
        if optional:
            return []
        raise UnknownEventError(f"{self._path}:{given.lineno}: {ast.unparse(given)}")


def _is_level(node: ast.AST) -> bool:
    match node:
        case ast.Attribute(value=ast.Name(id="log" | "_log"), attr=attr):
            return attr in LEVELS or attr == "exception"
    return False
