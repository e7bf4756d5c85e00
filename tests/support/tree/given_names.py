"""
The names that a file gives: to itself, in definitions, in SQL, to metrics and to log events.

Names that are only used are left out, and so are the fields of payloads, which customers know.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import PurePosixPath

from tests.support.tree.sources import Source

PAYLOADS = "dispatch_service/payloads/"


class Kind(Enum):
    """
    What a name is given to; the value is how messages say it.
    """

    FILE = "file"
    FOLDER = "folder"
    CLASS = "class"
    FUNCTION = "function"
    ARGUMENT = "argument"
    VARIABLE = "variable"
    ATTRIBUTE = "attribute"
    ALIAS = "alias"
    SQL = "name in SQL"
    METRIC = "metric"
    LOG_EVENT = "log event"
    LOG_KEYWORD = "keyword of a log line"


@dataclass(frozen=True, slots=True)
class GivenName:
    """
    A name, the line where it is given (0 for a file or folder), and what it is given to.
    """

    line: int
    kind: Kind
    text: str


_SQL = re.compile(
    r"\b(SELECT|INSERT|UPDATE|DELETE|FROM|WHERE|SET|CASE|WHEN|AND|OR|IN|IS NULL|IS NOT NULL"
    r"|VALUES|RETURNING|JOIN|ORDER BY)\b"
)
_SQL_VALUE = re.compile(r"'[^']*'|--[^\n]*")
_SQL_NAME = re.compile(r"\b[a-z_][a-z0-9_]*\b")
_METRIC = re.compile(r"webhooks_[a-z0-9_]+")
_LOG_EVENT = re.compile(r"[a-z_]+\.[a-z_]+")
_IDENTIFIER = re.compile(r"[a-z_][a-z0-9_]*")

_DEFINING = (
    ast.ClassDef,
    ast.FunctionDef,
    ast.AsyncFunctionDef,
    ast.arg,
    ast.Name,
    ast.Attribute,
    ast.ExceptHandler,
    ast.MatchAs,
    ast.MatchStar,
    ast.alias,
)
_LOGGERS = frozenset({"log", "_log", "logger", "_logger"})
_SCHEMA = frozenset(
    {
        "Table",
        "Column",
        "Index",
        "CheckConstraint",
        "UniqueConstraint",
        "ForeignKeyConstraint",
        "PrimaryKeyConstraint",
        "partial_index",
    }
)


def given_names(source: Source) -> Iterator[GivenName]:
    """
    Yield the names that a file gives. Those in texts count in the packages only: the tests
    repeat them.
    """
    yield GivenName(0, Kind.FILE, PurePosixPath(source.path).name)
    fields = set(_payload_fields(source))
    prose = set(_prose(source))
    for node in source.nodes:
        if isinstance(node, _DEFINING) and id(node) not in fields:
            yield from _defined(node)
        if not source.is_test and id(node) not in prose:
            yield from _in_text(node)


def _payload_fields(source: Source) -> Iterator[int]:
    """
    Yield the ids of the nodes that name fields of payloads.
    """
    if source.path.startswith(PAYLOADS):
        for node in source.nodes:
            if isinstance(node, ast.ClassDef):
                yield from (id(it.target) for it in node.body if isinstance(it, ast.AnnAssign))


def _prose(source: Source) -> Iterator[int]:
    """
    Yield the ids of docstrings and of comments on tables.
    """
    for node in source.nodes:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield id(node.value)
        elif isinstance(node, ast.keyword) and node.arg == "comment":
            yield from (id(part) for part in ast.walk(node.value))


def _defined(node: ast.AST) -> Iterator[GivenName]:
    """
    Yield what a node defines.
    """
    match node:
        case ast.ClassDef(name=name):
            yield GivenName(node.lineno, Kind.CLASS, name)
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
            yield GivenName(node.lineno, Kind.FUNCTION, name)
        case ast.arg(arg=name):
            yield GivenName(node.lineno, Kind.ARGUMENT, name)
        case ast.Name(id=name, ctx=ast.Store()) | ast.MatchStar(name=str(name)):
            yield GivenName(node.lineno, Kind.VARIABLE, name)
        case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)):
            yield GivenName(node.lineno, Kind.VARIABLE, name)
        case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name, ctx=ast.Store()):
            yield GivenName(node.lineno, Kind.ATTRIBUTE, name)
        case ast.alias(asname=str(name)):
            yield GivenName(node.lineno, Kind.ALIAS, name)


def _in_text(node: ast.AST) -> Iterator[GivenName]:
    """
    Yield the names that the text of a node gives.
    """
    match node:
        case ast.Call():
            yield from _schema_names(node)
            yield from _log_keywords(node)
        case ast.Constant(value=str(text)):
            yield from _whole_names(node.lineno, text)
            yield from _sql_names(node.lineno, text)
        case ast.JoinedStr(values=parts):
            texts = [str(part.value) for part in parts if isinstance(part, ast.Constant)]
            yield from _sql_names(node.lineno, " ".join(texts))


def _schema_names(call: ast.Call) -> Iterator[GivenName]:
    if _last_name(call.func) not in _SCHEMA:
        return
    named = [keyword.value for keyword in call.keywords if keyword.arg == "name"]
    for value in (*call.args, *named):
        match value:
            case ast.Constant(value=str(text)) if _IDENTIFIER.fullmatch(text):
                yield GivenName(value.lineno, Kind.SQL, text)


def _log_keywords(call: ast.Call) -> Iterator[GivenName]:
    match call.func:
        case ast.Attribute(value=target) if _last_name(target) in _LOGGERS:
            for keyword in call.keywords:
                if keyword.arg:
                    yield GivenName(call.lineno, Kind.LOG_KEYWORD, keyword.arg)


def _last_name(node: ast.expr) -> str:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def _whole_names(line: int, text: str) -> Iterator[GivenName]:
    """
    Yield a text that is a metric or a log event; the latter may be handed on before it is logged.
    """
    if _METRIC.fullmatch(text):
        yield GivenName(line, Kind.METRIC, text)
    elif _LOG_EVENT.fullmatch(text):
        yield GivenName(line, Kind.LOG_EVENT, text)


def _sql_names(line: int, text: str) -> Iterator[GivenName]:
    if _SQL.search(text):
        for name in _SQL_NAME.findall(_SQL_VALUE.sub(" ", text)):
            yield GivenName(line, Kind.SQL, name)
