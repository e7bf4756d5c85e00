"""
Whether an answer of the feed goes on from what is known.
"""

from __future__ import annotations

import pytest

from dispatch_service.feed.position import Position, goes_on

KNOWN = Position(7, b"seven")


@pytest.mark.parametrize(
    ("answer", "same"),
    [
        (Position(7, b"seven"), True),
        (Position(8, b"eight"), True),
        (Position(8, b"seven"), True),
        (Position(7, b"other"), False),
        (Position(7, b""), False),
        (Position(6, b"six"), False),
        (Position(6, b"seven"), False),
        (Position(0, b""), False),
    ],
    ids=str,
)
def test_history_goes_forward_with_one_digest_a_revision(answer: Position, *, same: bool) -> None:
    """
    The same revision has the same digest, and no answer goes back.
    """
    assert goes_on(KNOWN, answer) is same
