"""
How many requests a healthy endpoint may get at a time. It grows with what the endpoint bears: by
one for a few answers that come as fast as before, and it is halved where they come slower or an
attempt finds the endpoint overloaded. Spans are in seconds.
"""

from __future__ import annotations

ANSWERS_TO_GROW = 4
"""
So many good answers in a row, while more deliveries wait than may start, make room for one more.
"""

FLAT_FACTOR = 1.5
FLAT_SECONDS = 0.01
"""
Answers come as fast as before up to this multiple of the fastest usual time, and a little more:
what this process adds itself.
"""

SLOW_FACTOR = 2.0
SLOW_SECONDS = 0.02
"""
Beyond this multiple, and a little more, they come slower.
"""

_SMOOTHING = 1 / 16


class Concurrency:
    """
    The *limit* of one endpoint, from *least* to *most*.

    The usual time of an answer is a moving average. As long as the limit is the least, the time
    is what others are held against; above that, the shortest one since.
    """

    __slots__ = ("_answers", "_best", "_least", "_most", "_settling", "_usual", "_wanted", "limit")

    def __init__(self, least: int, most: int) -> None:
        self.limit = least
        self._least = least
        self._most = most
        self._answers = 0
        self._settling = 0
        self._wanted = 0
        self._usual = 0.0
        self._best = 0.0

    def want_more(self) -> None:
        """
        Take into account that more deliveries wait than may start: so the answers to the requests
        that are open now may let it grow.
        """
        self._wanted = self.limit

    def succeeded(self, seconds: float) -> None:
        """
        Take a delivery into account that was confirmed after so many seconds.
        """
        self._usual += (seconds - self._usual) * _SMOOTHING if self._usual else seconds
        if self.limit == self._least or self._usual < self._best:
            self._best = self._usual
        if self._settling:
            # These requests were sent under the limit of before.
            self._settling -= 1
        elif self._usual > self._best * SLOW_FACTOR + SLOW_SECONDS:
            self.halve()
        elif self._usual > self._best * FLAT_FACTOR + FLAT_SECONDS:
            self._answers = 0
        elif self._wanted and self.limit < self._most:
            self._count_good_answer()

    def refused(self) -> None:
        """
        Take an attempt into account that failed although the endpoint answered.
        """
        self._answers = 0

    def halve(self) -> None:
        """
        Halve the limit, down to the least.
        """
        self._settling = self.limit
        self._answers = 0
        self.limit = max(self.limit // 2, self._least)

    def _count_good_answer(self) -> None:
        self._wanted -= 1
        self._answers += 1
        if self._answers >= ANSWERS_TO_GROW:
            self._answers = 0
            self.limit += 1
