"""
Faults of what callers want to configure.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """
    A field, the rule that it breaks, and the reason of the error.
    """

    field: str
    description: str
    reason: str = "FIELD_INVALID"
