"""
What follows from names that a snapshot lacks.
"""

from __future__ import annotations

import pytest

from dispatch_service.feed.absence import judge

SHIPPED = "accounts/100/subscriptions/shipped"
CREDENTIAL = "accounts/100/credentials/basic"
SETTINGS = "accounts/100/settings"
OTHERS = "accounts/200/credentials/basic"
CALLER = "callers/orders"


@pytest.mark.parametrize(
    ("missing", "held"),
    [
        (set(), set()),
        ({SHIPPED}, {SHIPPED}),
        ({SHIPPED, CREDENTIAL, SETTINGS}, {SHIPPED, CREDENTIAL, SETTINGS}),
        ({SHIPPED, OTHERS}, {SHIPPED}),
        ({CREDENTIAL, SETTINGS}, set()),
        ({SHIPPED, CALLER}, {SHIPPED}),
    ],
)
def test_subscriptions_are_held_with_what_they_use(missing: set[str], held: set[str]) -> None:
    """
    What is missing of an owner is held with its subscriptions; all else is dropped, callers first.
    """
    absence = judge(missing, missing)

    assert absence.held == held
    assert absence.dropped == missing - held
    assert absence.subscriptions == [name for name in [SHIPPED] if name in held]


@pytest.mark.parametrize(
    ("missing", "known", "alarming"),
    [(10, 10, False), (11, 11, True), (11, 109, True), (11, 110, False), (12, 110, True)],
)
def test_snapshot_that_lacks_many_is_alarming(missing: int, known: int, *, alarming: bool) -> None:
    """
    More than a tenth of the subscriptions, and more than ten.
    """
    names = [f"accounts/1/subscriptions/sub_{n}" for n in range(known)]
    others = [f"accounts/1/credentials/crd_{n}" for n in range(500)]

    assert judge(names[:missing], [*names, *others]).alarming is alarming
