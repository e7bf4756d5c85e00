"""
How long the group commit waits for company.
"""

from __future__ import annotations

import pytest

from dispatch_service.intake.commit import (
    LINGER_BELOW,
    LINGER_SECONDS,
    MOST_SPACING_SECONDS,
    SPACING_SECONDS,
    linger_seconds,
)


@pytest.mark.parametrize(
    ("waiting", "last_group", "since_last", "expected"),
    [
        (1, 0, 60.0, LINGER_SECONDS),
        (1, 1, 0.0, SPACING_SECONDS),
        (1, 1, SPACING_SECONDS, LINGER_SECONDS),
        (2, 2, 0.0, MOST_SPACING_SECONDS),
        (2, 2, 0.0005, MOST_SPACING_SECONDS - 0.0005),
        (2, 2, 1.0, LINGER_SECONDS),
        (1, 100, 0.0, MOST_SPACING_SECONDS),
        (1, 100, 0.004, LINGER_SECONDS),
        (LINGER_BELOW, 100, 0.0, 0.0),
        (500, 0, 0.0, 0.0),
    ],
)
def test_linger(waiting: int, last_group: int, since_last: float, expected: float) -> None:
    """
    Nothing is waited for where enough is there, and longer where events come often.
    """
    assert linger_seconds(waiting, last_group, since_last) == pytest.approx(expected)
