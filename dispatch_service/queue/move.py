"""
What a move of a delivery is; `moves` has the table of them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from dispatch_service.domain.transitions import State
from dispatch_service.queue.dialects import clause

LEASE_HELD = (
    "@owner = $owner AND @delivery_id = $delivery_id"
    " AND @lease_token = $lease_token AND @lease_owner IS NOT NULL"
)
"""
The condition of each move that ends a lease: only the holder of the present token may.
"""


@dataclass(frozen=True, eq=False)
class Move:
    """
    A change of a delivery's row. *steps* has the states that it leads to from each state, from
    None where it makes the row; *columns* the expressions of the columns that it sets.
    """

    name: str
    steps: Mapping[State | None, Collection[State]]
    columns: Mapping[str, str]

    @property
    def sources(self) -> str:
        """
        Return the states that the move leads from, as SQL lists them.
        """
        return ", ".join(f"'{state}'" for state in self.steps if state is not None)

    def values(self, **given: object) -> dict[str, Any]:
        """
        Return the values of an SQLAlchemy update of `deliveries`, on either database.
        """
        return {name: clause(expression, given) for name, expression in self.columns.items()}


SUSPENDED_FOR = "CASE WHEN $hold_us IS NULL THEN 'inactive' ELSE 'held' END"
"""
The reason why a suspended delivery waits.
"""
