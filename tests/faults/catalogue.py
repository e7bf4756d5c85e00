"""
All faults, in the order in which they run.
"""

from __future__ import annotations

from tests.faults import absence
from tests.faults.harness.model import Fault

FAULTS: tuple[Fault, ...] = (*absence.FAULTS,)
