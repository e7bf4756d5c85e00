"""
The order in which waiting events are committed: accounts take turns.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from dispatch_service.domain.work import EventKey

TURN_DELIVERIES = 250
TURN_BYTES = 512 * 1024
"""
What an account may have ahead of events of others. An event counts with the deliveries that it is
expected to make, and as one at least.
"""


class Queued(Protocol):
    """
    An event of *size* bytes, which is expected to make so many *deliveries*, at least one.
    """

    key: EventKey
    size: int
    deliveries: int


Item = TypeVar("Item", bound=Queued)


@dataclass(slots=True)
class _Account(Generic[Item]):
    """
    How many events of an account wait, and their bytes; what of them is in the order of all, in
    deliveries and bytes, and what waits *behind* the others until some of those are taken.
    """

    count: int = 0
    size: int = 0
    ahead_deliveries: int = 0
    ahead_size: int = 0
    behind: deque[Item] = field(default_factory=deque)

    @property
    def has_turn(self) -> bool:
        """
        Whether one more event may be in the order of all.
        """
        return self.ahead_deliveries < TURN_DELIVERIES and self.ahead_size < TURN_BYTES


class AccountTurns(Generic[Item]):
    """
    Events in the order of their arrival, but for accounts of which many wait: those have a turn
    ahead of others, and what is beyond it follows as that is taken. Events of one account keep
    their order.
    """

    def __init__(self) -> None:
        self.size = 0
        self._count = 0
        self._next: deque[Item] = deque()
        self._accounts: dict[int, _Account[Item]] = {}

    def __len__(self) -> int:
        return self._count

    def of(self, account: int) -> tuple[int, int]:
        """
        Return how many events of an account wait, and their bytes.
        """
        known = self._accounts.get(account)
        return (0, 0) if known is None else (known.count, known.size)

    def append(self, item: Item) -> None:
        """
        Put an event behind the others of its account.
        """
        size, number = item.size, item.key[0]
        account = self._accounts.get(number)
        if account is None:
            account = self._accounts[number] = _Account()
        if account.behind or not account.has_turn:
            account.behind.append(item)
        else:
            self._line_up(account, item)
        account.count += 1
        account.size += size
        self._count += 1
        self.size += size

    def popleft(self) -> Item:
        """
        Take the next event.
        """
        item = self._next.popleft()
        size, number = item.size, item.key[0]
        account = self._accounts[number]
        account.count -= 1
        account.size -= size
        account.ahead_deliveries -= item.deliveries
        account.ahead_size -= size
        self._count -= 1
        self.size -= size
        while account.behind and account.has_turn:
            self._line_up(account, account.behind.popleft())
        if not account.count:
            del self._accounts[number]
        return item

    def _line_up(self, account: _Account[Item], item: Item) -> None:
        account.ahead_deliveries += item.deliveries
        account.ahead_size += item.size
        self._next.append(item)
