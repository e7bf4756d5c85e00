"""
Accounts take turns in the commit of their events.
"""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from dispatch_service.domain.work import EventKey
from dispatch_service.intake.account_turns import TURN_BYTES, TURN_DELIVERIES, AccountTurns


@dataclass
class Queued:
    """
    An event.
    """

    key: EventKey
    size: int = 100
    deliveries: int = 1


def turns_of(*accounts: int, size: int = 100, deliveries: int = 1) -> AccountTurns[Queued]:
    """
    Queue an event of each account, in this order.
    """
    turns: AccountTurns[Queued] = AccountTurns()
    for number, account in enumerate(accounts):
        turns.append(Queued((account, str(number)), size, deliveries))
    return turns


def drained(turns: AccountTurns[Queued]) -> list[EventKey]:
    """
    Take out all events.
    """
    return [turns.popleft().key for _ in range(len(turns))]


def test_few_events_keep_the_order_of_their_arrival() -> None:
    """
    Whatever their accounts are.
    """
    accounts = [1, 2, 2, 1, 3, 1] * 20

    assert [account for account, _ in drained(turns_of(*accounts))] == accounts


def test_flood_of_one_account_is_a_turn_ahead_of_others_at_most() -> None:
    """
    What came behind thousands of its events is among the next ones, in events, in bytes and in
    the deliveries that they make.
    """
    turns = turns_of(*[1] * 5000, 2, 2, 3)
    large = turns_of(*[1] * 5000, 2, size=TURN_BYTES // 4)
    wide = turns_of(*[1] * 5000, 2, deliveries=TURN_DELIVERIES // 2)

    order = [account for account, _ in drained(turns)]
    assert order[TURN_DELIVERIES : TURN_DELIVERIES + 3] == [2, 2, 3]
    assert [account for account, _ in drained(large)][4] == 2
    assert [account for account, _ in drained(wide)][2] == 2


@given(st.lists(st.integers(1, 3), max_size=1500), st.integers(0, 1500))
def test_every_event_comes_once_and_in_the_order_of_its_account(
    accounts: list[int], taken: int
) -> None:
    """
    Also if some are taken before the last ones come.
    """
    turns: AccountTurns[Queued] = AccountTurns()
    expected: dict[int, list[str]] = {account: [] for account in (1, 2, 3)}
    found: dict[int, list[str]] = {account: [] for account in (1, 2, 3)}
    for number, account in enumerate(accounts):
        turns.append(Queued((account, str(number))))
        expected[account].append(str(number))
        if number >= taken:
            first, event_id = turns.popleft().key
            found[first].append(event_id)
    for account, event_id in drained(turns):
        found[account].append(event_id)

    assert found == expected
    assert (len(turns), turns.size, turns.of(1)) == (0, 0, (0, 0))
