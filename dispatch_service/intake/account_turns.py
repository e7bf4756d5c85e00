"""
The order in which waiting events are committed: accounts take turns.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from dispatch_service.domain.work import EventKey

TURN_EVENTS = 250
TURN_BYTES = 512 * 1024
"""
What an account may have ahead of events of others: half of a group.
"""


class Queued(Protocol):
    """
    An event of *size* bytes.
    """

    key: EventKey
    size: int


Item = TypeVar("Item", bound=Queued)


@dataclass(slots=True)
class _Account(Generic[Item]):
    """
    How many events of an account wait, and their bytes; how much of that is *ahead*, in the order
    of all, and what waits *behind* until some of it is taken.
    """

    count: int = 0
    size: int = 0
    ahead: int = 0
    ahead_size: int = 0
    behind: deque[Item] = field(default_factory=deque)


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
        account.count += 1
        account.size += size
        self._count += 1
        self.size += size
        if account.behind or account.ahead >= TURN_EVENTS or account.ahead_size >= TURN_BYTES:
            account.behind.append(item)
        else:
            account.ahead += 1
            account.ahead_size += size
            self._next.append(item)

    def popleft(self) -> Item:
        """
        Take the next event.
        """
        item = self._next.popleft()
        account = self._accounts[item.key[0]]
        account.count -= 1
        account.size -= item.size
        account.ahead -= 1
        account.ahead_size -= item.size
        self._count -= 1
        self.size -= item.size
        if account.behind:
            self._move_up(account)
        if not account.count:
            del self._accounts[item.key[0]]
        return item

    def _move_up(self, account: _Account[Item]) -> None:
        while account.behind and account.ahead < TURN_EVENTS and account.ahead_size < TURN_BYTES:
            item = account.behind.popleft()
            account.ahead += 1
            account.ahead_size += item.size
            self._next.append(item)
