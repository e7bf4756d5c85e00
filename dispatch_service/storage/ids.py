"""
Ids of rows: UUIDv7, so that rows made together are stored together.
"""

from __future__ import annotations

import random
import time

_VERSION = 0x7 << 76
_VARIANT = 0b10 << 62
_RANDOM_BITS = 62
_NANOS_PER_MILLI = 1_000_000


def new_id() -> str:
    """
    Make a UUIDv7 as 32 hexadecimal digits; its 12 middle bits say where in the millisecond.
    """
    millis, nanos = divmod(time.time_ns(), _NANOS_PER_MILLI)
    fraction = (nanos << 12) // _NANOS_PER_MILLI
    noise = random.getrandbits(_RANDOM_BITS)  # reseeded in a forked process; ids are no secrets
    return f"{_uuid7(millis, fraction, noise):032x}"


def _uuid7(millis: int, fraction: int, noise: int) -> int:
    """
    Lay a UUIDv7 out as RFC 9562, section 5.7, says.
    """
    return millis << 80 | _VERSION | fraction << 64 | _VARIANT | noise
