"""
Durations, as people write and read them.
"""

from __future__ import annotations

import re
from datetime import timedelta

from google.protobuf.duration_pb2 import Duration

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_NAMES = {"d": "day", "h": "hour", "m": "minute", "s": "second"}


def shown(duration: Duration) -> str:
    """
    Return a duration in its largest whole unit: `2 hours`; below a second in milliseconds.
    """
    seconds = duration.ToTimedelta().total_seconds()
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    for unit, name in _NAMES.items():
        if seconds % _UNITS[unit] == 0:
            number = int(seconds // _UNITS[unit])
            return f"{number} {name}{'s' * (number != 1)}"
    return f"{seconds:.2f} s"


def written(duration: Duration) -> str:
    """
    Return a duration as `parse` reads it: `2h`.
    """
    seconds = int(duration.ToTimedelta().total_seconds())
    unit = next(unit for unit in ("d", "h", "m", "s") if seconds % _UNITS[unit] == 0)
    return f"{seconds // _UNITS[unit]}{unit}"


def parse(text: str) -> list[Duration]:
    """
    Read durations such as `30s, 5m 2h`. Raises `ValueError` that says what is allowed.
    """
    durations = []
    for word in text.replace(",", " ").split():
        found = re.fullmatch(r"(\d{1,7})([smhd])", word)
        if found is None:
            raise ValueError(f"{word!r} is no duration: a number and s, m, h or d, for example 5m")
        duration = Duration()
        duration.FromTimedelta(timedelta(seconds=int(found[1]) * _UNITS[found[2]]))
        durations.append(duration)
    return durations
