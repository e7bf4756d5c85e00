"""
All faults, in the order in which they run.
"""

from __future__ import annotations

from tests.faults import (
    absence,
    clocks,
    config_database,
    crashes,
    damage,
    dead_endpoint,
    feed_items,
    housekeeping,
    in_force,
    store_faults,
    unwritten_results,
)
from tests.faults.harness.model import Fault

FAULTS: tuple[Fault, ...] = (
    *crashes.FAULTS,
    *dead_endpoint.FAULTS,
    *absence.FAULTS,
    *unwritten_results.FAULTS,
    *clocks.FAULTS,
    *config_database.FAULTS,
    *feed_items.FAULTS,
    *in_force.FAULTS,
    *store_faults.FAULTS,
    *housekeeping.FAULTS,
    *damage.FAULTS,
)
