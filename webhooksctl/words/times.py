"""
Durations and points in time, as people write and read them.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

_UNITS: Final = {"d": 86_400, "h": 3600, "m": 60, "s": 1}
_DURATION: Final = re.compile(r"(\d{1,7}[dhms])+")


def duration(text: str) -> timedelta:
    """
    Read a duration such as `2h`, `30m` or `1d12h`. Raises `ValueError` that says what is allowed.
    """
    if not _DURATION.fullmatch(text):
        raise ValueError(f"{text!r} is no duration: numbers with d, h, m or s, 2h or 1d12h, say")
    parts = re.findall(r"(\d+)([dhms])", text)
    return timedelta(seconds=sum(int(number) * _UNITS[unit] for number, unit in parts))


def duration_message(text: str) -> Duration:
    """
    Read a duration as a message. Raises `ValueError`.
    """
    message = Duration()
    message.FromTimedelta(duration(text))
    return message


def written(seconds: int) -> str:
    """
    Write whole seconds as `duration` reads them: `1d12h`.
    """
    parts = []
    for unit, size in _UNITS.items():
        number, seconds = divmod(seconds, size)
        if number:
            parts.append(f"{number}{unit}")
    return "".join(parts) or "0s"


def moment(text: str, now: datetime) -> datetime:
    """
    Read a point in time: a duration before *now*, or a date with or without a time, in UTC unless
    it says otherwise. Raises `ValueError` that says what is allowed.
    """
    if _DURATION.fullmatch(text):
        return now - duration(text)
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        message = f"{text!r} is no time: 2h, 2026-01-31 or 2026-01-31T09:30:00Z, for example"
        raise ValueError(message) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def expiry(text: str, now: datetime) -> datetime:
    """
    Read a point in time as `moment` does, but a duration from *now* on. Raises `ValueError`.
    """
    return now + duration(text) if _DURATION.fullmatch(text) else moment(text, now)


def rfc3339(time: datetime) -> str:
    """
    Write a time as filters read it.
    """
    return time.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def shown_time(time: Timestamp) -> str:
    """
    Write a time for people, in UTC and to the second.
    """
    return f"{time.ToDatetime():%Y-%m-%d %H:%M:%SZ}"


def shown_duration(value: Duration) -> str:
    """
    Write a duration for people: below ten seconds to the millisecond.
    """
    span = value.ToTimedelta()
    if span >= timedelta(seconds=1) and not span.microseconds:
        return written(round(span.total_seconds()))
    if span < timedelta(seconds=1):
        return f"{span / timedelta(milliseconds=1):.0f}ms"
    if span < timedelta(seconds=10):
        return f"{span.total_seconds():.2f}s"
    return written(round(span.total_seconds()))
