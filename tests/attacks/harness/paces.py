"""
Whether calls are as fast during an attack as before it. No I/O.

The 99th percentile during the attack may be twice that before it, measured in the same run by the
same process, or `FLOOR_SECONDS`, if that is more. A call of a few milliseconds waits for one write
to the disk and two turns of the scheduler, and on a machine of two cores that both are busy any of
these now and then takes some 10 ms more: below the floor it is the machine that decides. What the
floor must not hide are callers that wait for each other, which took from 100 ms to seconds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

CALLS = 300
"""
How many calls are made before an attack, and during it: the third slowest is the 99th percentile.
"""

FLOOR_SECONDS = 0.04
FACTOR = 2.0
PERCENTILE = 0.99


def p99(seconds: Sequence[float]) -> float:
    """
    Return the 99th percentile, infinity of none.
    """
    if not seconds:
        return math.inf
    return sorted(seconds)[math.ceil(PERCENTILE * len(seconds)) - 1]


def bound(before: Sequence[float]) -> float:
    """
    Return the 99th percentile, in seconds, that calls may have during an attack.
    """
    return max(FACTOR * p99(before), FLOOR_SECONDS) if before else FLOOR_SECONDS
