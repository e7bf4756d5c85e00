"""
What a process may not have matched when it ended.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from dispatch_service.intake.match_positions import LONGEST_CHANGE, FeedPosition, changed_after
from tests.support.dispatch_factories import NOW, subscription

SECOND = timedelta(seconds=1)
CASES: dict[str, tuple[FeedPosition, dict[str, Any], bool]] = {
    "changed after the revision": (FeedPosition(6), {}, True),
    "changed at the revision": (FeedPosition(7), {}, False),
    "changed before": (FeedPosition(8), {}, False),
    "begins after the known time": (FeedPosition(6, NOW - SECOND), {}, True),
    "committed late": (FeedPosition(6, NOW + LONGEST_CHANGE - SECOND), {}, True),
    "another field changed": (FeedPosition(6, NOW + LONGEST_CHANGE), {}, False),
    "Inactive": (FeedPosition(6), {"active": False}, False),
    "deleted": (FeedPosition(6), {"deleted": True}, False),
    "unknown since when": (FeedPosition(6), {"matches_since": None}, False),
}


@pytest.mark.parametrize("case", CASES)
def test_changes_after_a_position(case: str) -> None:
    """
    A subscription is matched again if it begins to match after what the process knew.
    """
    position, over, found = CASES[case]
    it = subscription(**({"revision": 7, "matches_since": NOW} | over))

    assert changed_after(position, [it]) == ([it] if found else [])
