"""
Transactions that the database aborts because of a conflict with another one.
"""

from __future__ import annotations

import asyncio
import functools
import random
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

from sqlalchemy.exc import DBAPIError

# SQLSTATE of deadlocks and of serialisation failures.
_CONFLICTS = frozenset({"40P01", "40001"})
_PAUSES = (0.02, 0.05, 0.1, 0.2)

P = ParamSpec("P")
T = TypeVar("T")
Work = Callable[P, Coroutine[Any, Any, T]]


def retry_on_conflict(work: Work[P, T]) -> Work[P, T]:
    """
    Run *work*, a whole transaction, again if the database aborted it because of a conflict.

    After five attempts, with growing pauses, the error is raised.
    """

    @functools.wraps(work)
    async def repeated(*args: P.args, **kwargs: P.kwargs) -> T:
        for pause in _PAUSES:
            try:
                return await work(*args, **kwargs)
            except DBAPIError as error:
                if getattr(error.orig, "sqlstate", None) not in _CONFLICTS:
                    raise
            await asyncio.sleep(pause * (0.5 + random.random()))  # noqa: S311 - jitter is no secret
        return await work(*args, **kwargs)

    return repeated
