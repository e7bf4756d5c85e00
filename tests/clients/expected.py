"""
What each of the example programs prints, whatever its language.
"""

from __future__ import annotations

import re

ACCEPTED = 3
VIOLATION = "EVENT_INVALID order_status_changed.order.id: "
_NAME = r"accounts/100/events/[\w-]+"
_LINES = [
    r"webhook: accounts/100/subscriptions/\w+",
    rf"accepted: {_NAME}",
    rf"accepted: {_NAME}",
    rf"refused: {re.escape(VIOLATION)}\S.*",
    rf"accepted: {_NAME}",
    *[rf"attempt: {_NAME} STATUS_SUCCESS"] * ACCEPTED,
    "page 1: 2",
    "page 2: 1",
]


def assert_went_well(printed: str) -> None:
    """
    Assert that a program created a webhook, published a batch with one bad event, read its
    violation, watched the deliveries of the others, and read the log page by page.
    """
    lines = printed.splitlines()
    assert len(lines) == len(_LINES), printed
    for line, pattern in zip(lines, _LINES, strict=True):
        assert re.fullmatch(pattern, line), f"{line!r} is not {pattern}"
    accepted = {it.split()[1] for it in lines if it.startswith("accepted: ")}
    attempted = {it.split()[1] for it in lines if it.startswith("attempt: ")}
    assert accepted == attempted
