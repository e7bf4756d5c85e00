"""
The log line of a call that has ended.
"""

from __future__ import annotations

import structlog

from service_runtime.rpc.errors import RpcError, ShuttingDown
from service_runtime.rpc.gate.method import Method

FAULTS = frozenset({"DATA_LOSS", "DEADLINE_EXCEEDED", "INTERNAL", "UNAVAILABLE", "UNKNOWN"})
"""
The codes of calls that failed although nothing was wrong with what the caller asked for.
"""

log = structlog.get_logger()


def log_served(method: Method, code: str, error: RpcError | None, seconds: float) -> None:
    """
    Log a call of *method* that took so many seconds: as a warning if it failed by a fault of
    ours, and its success at debug level only where there are very many.
    """
    reason = "" if error is None else error.reason
    write = log.debug if code == "OK" and method.quiet else log.info
    if code in FAULTS and not isinstance(error, ShuttingDown):
        write = log.warning
    # The method and the caller are fields of all lines of the call.
    write("rpc.served", code=code, reason=reason, duration_ms=round(seconds * 1000, 2))
