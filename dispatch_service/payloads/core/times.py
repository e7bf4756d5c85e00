"""
Times and dates as text.
"""

from datetime import UTC, datetime, timedelta
from functools import lru_cache

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from google.type.date_pb2 import Date

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@lru_cache(maxsize=4096)
def _plain(seconds: int) -> str:
    return (_EPOCH + timedelta(seconds=seconds)).isoformat(" ")[:19]


@lru_cache(maxsize=4096)
def _instant(seconds: int) -> str:
    return (_EPOCH + timedelta(seconds=seconds)).isoformat("T")[:19] + "Z"


def plain_time(moment: Timestamp) -> str:
    """
    Write *moment* for versions 1 and 2: `2024-01-15 10:30:00`, in UTC.

    Fractions of a second are cut off; rounding up could show a time in the future.
    """
    return _plain(moment.seconds)


def instant(moment: Timestamp) -> str:
    """
    Write *moment* for version 3: `2024-01-15T10:30:00Z`.

    Whole seconds, as in the older versions: events of a resource are ordered by their sequence
    number, not by time.
    """
    return _instant(moment.seconds)


def calendar_date(date: Date) -> str:
    """
    Write *date* as `2024-01-15`; year, month and day must be set.
    """
    return f"{date.year:04d}-{date.month:02d}-{date.day:02d}"


def optional_instant(message: Message, field: str) -> str | None:
    """
    Write the time in *field* of *message* for version 3; None if it is unset.
    """
    return _instant(getattr(message, field).seconds) if message.HasField(field) else None


def optional_date(message: Message, field: str) -> str | None:
    """
    Write the date in *field* of *message*; None if it is unset.
    """
    return calendar_date(getattr(message, field)) if message.HasField(field) else None


def optional_plain_time(message: Message, field: str) -> str | None:
    """
    Write the time in *field* of *message* for versions 1 and 2; None if it is unset.
    """
    return _plain(getattr(message, field).seconds) if message.HasField(field) else None
