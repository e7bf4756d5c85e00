"""
The `filter` of a List: a subset of AIP-160, comparisons joined by `AND`.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from service_runtime.rpc.errors import FieldFault, InvalidArgument

Value = str | int | datetime

_LONGEST = 2000
_MOST_COMPARISONS = 20
_TOKEN = re.compile(
    r"""\s*(?:
        (?P<operator><=|>=|!=|=|<|>)
      | "(?P<quoted>(?:[^"\\]|\\.)*)"
      | (?P<word>[^\s"<>=!]+)
    )""",
    re.VERBOSE,
)
_SPECIAL = re.compile(r'["\\]')
_ESCAPED = re.compile(r"\\(.)")
COMPARE: Mapping[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
"""
The function of each operator on two values, or on a column and a value.
"""

_EQUALITY = ("=", "!=")
_ORDER = (*_EQUALITY, "<", "<=", ">", ">=")


@dataclass(frozen=True, slots=True)
class Comparison:
    """
    A field, an operator and a value of the field's type.
    """

    field: str
    operator: str
    value: Value


@dataclass(frozen=True, slots=True)
class FieldKind:
    """
    The type of a field: a text for errors, its operators, and the parser of its values.
    """

    expects: str
    operators: tuple[str, ...]
    read: Callable[[str], Value]


def text() -> FieldKind:
    return FieldKind("a text", _EQUALITY, str)


def number(least: int, most: int) -> FieldKind:
    """
    Make the kind of a field with whole numbers from *least* to *most*, which its column can hold.
    """

    def read(value: str) -> Value:
        found = int(value)
        if not least <= found <= most:
            raise ValueError(value)
        return found

    return FieldKind(f"a whole number from {least} to {most}", _ORDER, read)


def instant() -> FieldKind:
    return FieldKind('an instant such as "2026-01-31T00:00:00Z"', _ORDER, _instant)


def one_of(*names: str, prefix: str = "") -> FieldKind:
    """
    Make the kind of a field with named values. Case and the *prefix* of the contract are optional.
    """

    def read(value: str) -> Value:
        name = value.upper().removeprefix(prefix)
        if name not in names:
            raise ValueError(value)
        return name

    return FieldKind(f"one of {', '.join(names)}", _EQUALITY, read)


def text_that(expects: str, holds: Callable[[str], bool]) -> FieldKind:
    """
    Make the kind of a text field whose values *holds* accepts.
    """

    def read(value: str) -> Value:
        if not holds(value):
            raise ValueError(value)
        return value

    return FieldKind(expects, _EQUALITY, read)


def parse(source: str, fields: Mapping[str, FieldKind]) -> tuple[Comparison, ...]:
    """
    Parse a filter over *fields*. An empty filter has no comparisons.

    Raises `InvalidArgument` with the reason `FILTER_SYNTAX` and the position of the fault.
    """
    if len(source) > _LONGEST:
        raise _syntax(f"must be at most {_LONGEST} characters", _LONGEST)
    if "\0" in source:
        raise _syntax("must not hold NUL", source.index("\0"))
    tokens = list(_tokens(source))
    comparisons: list[Comparison] = []
    for at in range(0, len(tokens), 4):
        comparisons.append(_comparison(tokens[at : at + 3], fields, len(source)))
        joint = tokens[at + 3 : at + 4]
        if joint and (joint[0].kind != "word" or joint[0].text.upper() != "AND"):
            raise _syntax("comparisons must be joined by AND", joint[0].at)
        if joint and at + 4 == len(tokens):
            raise _syntax("a comparison must follow AND", len(source))
    if len(comparisons) > _MOST_COMPARISONS:
        raise _syntax(f"must hold at most {_MOST_COMPARISONS} comparisons", len(source))
    return tuple(comparisons)


def with_values(source: str, field: str, change: Callable[[str], str]) -> str:
    """
    Return a filter that `parse` has accepted with changed values of one *field*.
    """
    tokens = list(_tokens(source))
    for at in reversed(range(0, len(tokens), 4)):
        name, _, value = tokens[at : at + 3]
        if name.text == field:
            text = _SPECIAL.sub(r"\\\g<0>", change(value.text))
            source = f'{source[: value.begin]}"{text}"{source[value.end :]}'
    return source


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    at: int
    begin: int
    end: int


def _tokens(source: str) -> Iterator[_Token]:
    at = 0
    end = len(source.rstrip())
    while at < end:
        found = _TOKEN.match(source, at)
        if found is None or found.lastgroup is None:
            raise _syntax("cannot be understood", at)
        value = found[found.lastgroup]
        if found.lastgroup == "quoted":
            value = _ESCAPED.sub(r"\1", value)
        begin = found.end() - len(found[0].lstrip())
        yield _Token(found.lastgroup, value, found.start(found.lastgroup), begin, found.end())
        at = found.end()


def _comparison(tokens: list[_Token], fields: Mapping[str, FieldKind], end: int) -> Comparison:
    if len(tokens) < 3:  # noqa: PLR2004 - field, operator, value
        raise _syntax("a comparison is a field, an operator and a value", end)
    field, operator, value = tokens
    kind = fields.get(field.text) if field.kind == "word" else None
    if kind is None:
        raise _syntax(f"fields are {', '.join(fields)}", field.at)
    if operator.kind != "operator" or operator.text not in kind.operators:
        raise _syntax(f"{field.text} is compared with {' '.join(kind.operators)}", operator.at)
    if value.kind == "operator":
        raise _syntax("a value must follow the operator", value.at)
    try:
        return Comparison(field.text, operator.text, kind.read(value.text))
    except (ValueError, OverflowError):
        raise _syntax(f"{field.text} must be {kind.expects}", value.at) from None


def _instant(value: str) -> datetime:
    parsed = datetime.fromisoformat(value)
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).astimezone(UTC)


def _syntax(problem: str, at: int) -> InvalidArgument:
    return InvalidArgument(
        "The filter is not valid.",
        reason="FILTER_SYNTAX",
        faults=[FieldFault("filter", f"{problem} (at character {at + 1})")],
        position=str(at + 1),
    )
