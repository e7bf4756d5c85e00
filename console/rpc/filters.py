"""
Filters of lists, put together from what readers type.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


def quoted(value: str) -> str:
    """
    Return *value* as a text of a filter.
    """
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def equals(field: str, value: str) -> str:
    """
    Return the comparison of a field with a text.
    """
    return f"{field} = {quoted(value)}"


def days(query: Mapping[str, str], field: str) -> list[str]:
    """
    Return the bounds that `from` and `to` of *query* set: whole days in UTC.
    """
    return [
        f'{field} {comparison} "{query[name]}T{time}Z"'
        for name, comparison, time in (("from", ">=", "00:00:00"), ("to", "<=", "23:59:59.999999"))
        if _DAY.fullmatch(query.get(name, ""))
    ]


def texts(query: Mapping[str, str], fields: Mapping[str, str]) -> list[str]:
    """
    Return a comparison for each parameter of *query* that names a field in *fields*.
    """
    given = {field: query.get(name, "").strip() for name, field in fields.items()}
    return [equals(field, value) for field, value in given.items() if value]
