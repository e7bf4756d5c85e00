"""
Times and spans in words.
"""

from __future__ import annotations

from google.protobuf.timestamp_pb2 import Timestamp


def shown(time: Timestamp) -> str:
    """
    Return a time to the second, in UTC; `never` if there is none.
    """
    if not time.seconds:
        return "never"
    return f"{time.ToDatetime():%Y-%m-%d %H:%M:%S} UTC"
