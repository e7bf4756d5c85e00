"""
What metrics show of a database: connections in use, and how long statements take.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any
from weakref import WeakValueDictionary

import sqlalchemy as sa
from sqlalchemy.pool import QueuePool

from service_runtime.observability import metrics

_pools: WeakValueDictionary[str, QueuePool] = WeakValueDictionary()
_limits: dict[str, int] = {}


def measure(engine: sa.Engine, pool: str, limit: int) -> None:
    """
    Measure an engine, whose *pool*, a name in metrics, opens at most *limit* connections.

    Of several engines with one name the connections of the last one are shown.
    """
    if isinstance(engine.pool, QueuePool):
        _pools[pool], _limits[pool] = engine.pool, limit
    observe = metrics.STATEMENT_SECONDS.of(pool).observe

    # Arguments come by position; the fifth is the context of the statement, which is made for it.
    def started(*about: Any) -> None:
        metrics.SQL_ROUND_TRIPS.add()
        about[4].started = time.monotonic()

    def ended(*about: Any) -> None:
        observe(time.monotonic() - about[4].started)

    def failed(error: sa.engine.ExceptionContext) -> None:
        since = getattr(error.execution_context, "started", None)
        if since is not None:
            observe(time.monotonic() - since)

    sa.event.listen(engine, "before_cursor_execute", started)
    sa.event.listen(engine, "after_cursor_execute", ended)
    sa.event.listen(engine, "handle_error", failed)
    for happening in ("begin", "commit", "rollback"):
        sa.event.listen(engine, happening, _count_transaction)


def _count_transaction(connection: sa.Connection) -> None:
    if connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
        metrics.SQL_ROUND_TRIPS.add()


def _connections() -> Mapping[tuple[str, ...], float]:
    found: dict[tuple[str, ...], float] = {}
    for name, pool in _pools.items():
        found[name, "in_use"] = pool.checkedout()
        found[name, "idle"] = pool.checkedin()
    return found


metrics.DATABASE_CONNECTIONS.read_with(_connections)
metrics.DATABASE_LIMIT.read_with(lambda: {(name,): _limits[name] for name in _pools})
