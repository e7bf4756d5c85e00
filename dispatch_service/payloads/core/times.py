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
    Write *moment* as versions 1 and 2 do: `2024-01-15 10:30:00`, in UTC.

    Fractions of the second are cut off, since rounding up would show a time
    that had not come yet.
    """
    return _plain(moment.seconds)


def instant(moment: Timestamp) -> str:
    """
    Write *moment* as version 3 does: `2024-01-15T10:30:00Z`.

    Whole seconds as in the older versions: what orders the events of a
    resource is their sequence, not the clock.
    """
    return _instant(moment.seconds)


def calendar_date(date: Date) -> str:
    """
    Write *date*, all of whose parts are set, as `2024-01-15`.
    """
    return f"{date.year:04d}-{date.month:02d}-{date.day:02d}"


def optional_instant(message: Message, field: str) -> str | None:
    """
    Write the moment in *field* of *message*; null where it is unset.
    """
    return _instant(getattr(message, field).seconds) if message.HasField(field) else None


def optional_date(message: Message, field: str) -> str | None:
    """
    Write the date in *field* of *message*; null where it is unset.
    """
    return calendar_date(getattr(message, field)) if message.HasField(field) else None


def optional_plain_time(message: Message, field: str) -> str | None:
    """
    Write the moment in *field* of *message* as versions 1 and 2 do; null
    where it is unset.
    """
    return _plain(getattr(message, field).seconds) if message.HasField(field) else None
