"""
Times and dates as text.

Many languages write a time or date that was never set as a value: the year 1, the second 0 of
1970, the date 0001-01-01. In every field it is as good as unset.
"""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from google.type.date_pb2 import Date

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NANOS_PER_MILLISECOND = 10**6

# The first second of the year 2. The whole year 1 counts as unset, because a time that was never
# set may be shifted by the time zone of its machine.
FIRST_SET_SECOND: Final = -62_104_060_800
FIRST_SET_YEAR: Final = 2


@lru_cache(maxsize=4096)
def _plain(seconds: int) -> str:
    return (_EPOCH + timedelta(seconds=seconds)).isoformat(" ")[:19]


@lru_cache(maxsize=4096)
def _instant(seconds: int) -> str:
    return (_EPOCH + timedelta(seconds=seconds)).isoformat("T")[:19] + "Z"


def is_set(moment: Timestamp) -> bool:
    """
    Tell whether *moment* is a time, not one that was never set.
    """
    seconds = moment.seconds
    return seconds != 0 and seconds >= FIRST_SET_SECOND


def plain_time(moment: Timestamp) -> str:
    """
    Write *moment* for versions 1 and 2: `2024-01-15 10:30:00`, in UTC.

    Fractions of a second are cut off; rounding up could show a time in the future.
    """
    return _plain(moment.seconds)


def instant(moment: Timestamp) -> str:
    """
    Write *moment* for version 3: `2024-01-15T10:30:00.250Z`, or `2024-01-15T10:30:00Z` where
    there are no milliseconds. Smaller fractions are cut off.
    """
    text, nanos = _instant(moment.seconds), moment.nanos
    if nanos < _NANOS_PER_MILLISECOND:
        return text
    return f"{text[:-1]}.{nanos // _NANOS_PER_MILLISECOND:03d}Z"


def calendar_date(date: Date) -> str:
    """
    Write *date* as `2024-01-15`; year, month and day must be set.
    """
    return f"{date.year:04d}-{date.month:02d}-{date.day:02d}"


def optional_instant(message: Message, field: str) -> str | None:
    """
    Write the time in *field* of *message* for version 3; None if it is unset.
    """
    # A field that is absent reads as 0 seconds: no need to ask whether it is there.
    moment = getattr(message, field)
    seconds = moment.seconds
    if not seconds or seconds < FIRST_SET_SECOND:
        return None
    return instant(moment) if moment.nanos else _instant(seconds)


def optional_date(message: Message, field: str) -> str | None:
    """
    Write the date in *field* of *message*; None if it is unset.
    """
    # Most dates are absent; to ask that is cheaper than to read one that is not there.
    if not message.HasField(field):
        return None
    date = getattr(message, field)
    return calendar_date(date) if date.year >= FIRST_SET_YEAR else None


def optional_plain_time(message: Message, field: str) -> str | None:
    """
    Write the time in *field* of *message* for versions 1 and 2; None if it is unset.
    """
    seconds = getattr(message, field).seconds
    return _plain(seconds) if seconds and seconds >= FIRST_SET_SECOND else None
