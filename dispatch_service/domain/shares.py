"""
How owners share what there is for all of them: slots, memory, the backlog.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import msgspec

SHARE_PERCENT = 25
"""
The share of one owner, unless a setting says otherwise.
"""


class Capacity(msgspec.Struct, frozen=True, gc=False):
    """
    How much there is for all owners together.

    An owner that holds no more than *share* may bring the sum up to *whole*, any other up to
    *common* only. What lies between is kept for owners that hold little: none of them waits for
    what another owner holds.
    """

    common: int
    whole: int
    share: int

    def allows(self, total: int, held: int, more: int = 1) -> bool:
        """
        Tell whether an owner that holds *held* of *total* may have *more*.
        """
        return total + more <= (self.whole if held + more <= self.share else self.common)


def kept_beside(limit: int, percent: int = SHARE_PERCENT) -> Capacity:
    """
    Return a capacity of which one owner may have all of *limit*: a share more is kept for others.

    It suits what ends within seconds. Where a share would be less than one, none is kept.
    """
    share = limit * percent // 100
    return Capacity(limit, limit + share, share)


def kept_within(limit: int, percent: int = SHARE_PERCENT) -> Capacity:
    """
    Return a capacity of *limit* of which one owner may have all but a share.

    It suits what is stored and must not grow beyond its limit.
    """
    share = limit * percent // 100
    return Capacity(limit - share, limit, share)


class OwnerCounts:
    """
    How many of something each owner has, and the sum.

    Between two counts of all it is kept up to date by what is added and removed here.
    """

    __slots__ = ("_by_owner", "_since", "total")

    def __init__(self) -> None:
        self.total = 0
        self._by_owner: Counter[str] = Counter()
        self._since: Counter[str] = Counter()

    def of(self, owner: str) -> int:
        """
        Return the number of an owner.
        """
        return max(self._by_owner[owner] + self._since[owner], 0)

    def add(self, owners: Iterable[str]) -> None:
        """
        Count one more for each element of *owners*.
        """
        more = Counter(owners)
        self._since.update(more)
        self.total += more.total()

    def remove(self, owners: Iterable[str]) -> None:
        """
        Count one less for each element of *owners*.
        """
        fewer = Counter(owners)
        self._since.subtract(fewer)
        self.total = max(self.total - fewer.total(), 0)

    def begin_count(self) -> None:
        """
        Say that all are counted from now on: what is added until then is added to the result.
        """
        self._by_owner.update(self._since)
        self._since = Counter()

    def counted(self, by_owner: Mapping[str, int]) -> None:
        """
        Take over the numbers of a count.
        """
        self._by_owner = Counter(by_owner)
        self.total = max(self._by_owner.total() + self._since.total(), 0)
