"""
What a publisher reports, for metrics.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from shipedge.webhooks.client.errors import ApiError

_logger = logging.getLogger("shipedge.webhooks.client")


class PublisherObserver:
    """
    Override what is of interest. Methods are called in the threads that send, so they must not
    block; what they raise is logged and changes nothing.
    """

    def batch_answered(self, events: int, content_bytes: int, seconds: float) -> None:
        """
        A batch had an answer for each of its events, so long after it was sent.
        """

    def event_refused(self, error: ApiError) -> None:
        """
        An event was refused for good.
        """

    def events_retried(self, events: int, error: ApiError, seconds: float) -> None:
        """
        Events will be sent again after so many seconds.
        """


def report(method: Callable[..., None], *values: Any) -> None:
    """
    Call a method of an observer; log what it raises.
    """
    try:
        method(*values)
    except Exception:
        _logger.exception("a PublisherObserver raised an error")
