"""
Filters of lists, put together from flags.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from webhooksctl.words import times


def quoted(text: str) -> str:
    """
    Return *text* as a text of a filter.
    """
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def equal(fields: Mapping[str, str]) -> list[str]:
    """
    Return a comparison for each field with a value.
    """
    return [f"{field} = {quoted(value)}" for field, value in fields.items() if value]


def between(field: str, since: str, until: str, now: datetime) -> list[str]:
    """
    Return the comparisons of a range of time; an empty text is no bound. Raises `ValueError`.
    """
    bounds = ((">=", since), ("<", until))
    return [
        f"{field} {comparison} {quoted(times.rfc3339(times.moment(text, now)))}"
        for comparison, text in bounds
        if text
    ]


def joined(parts: Iterable[str], more: str = "") -> str:
    """
    Join comparisons, and the text of the flag `--filter`.
    """
    return " AND ".join(part for part in (*parts, more.strip()) if part)
