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
    How many events of an account wait, and their bytes; what of them waits *behind* the others,
    and its bytes, until some of those are taken that are in the order of all.
    """

    count: int = 0
    size: int = 0
    behind_size: int = 0
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
        if account.behind or account.count >= TURN_EVENTS or account.size >= TURN_BYTES:
            account.behind.append(item)
            account.behind_size += size
        else:
            self._next.append(item)
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
        self._count -= 1
        self.size -= size
        if account.behind:
            self._move_up(account)
        if not account.count:
            del self._accounts[number]
        return item

    def _move_up(self, account: _Account[Item]) -> None:
        behind = account.behind
        while (
            behind
            and account.count - len(behind) < TURN_EVENTS
            and account.size - account.behind_size < TURN_BYTES
        ):
            item = behind.popleft()
            account.behind_size -= item.size
            self._next.append(item)
