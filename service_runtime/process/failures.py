"""
The isolation of work on one item from the others, and the log of its errors.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import structlog

from service_runtime.database.faults import StoreFault, code_of, is_unavailable, store_fault
from service_runtime.observability import metrics
from service_runtime.observability.traces import database_problem

REPEATED_SECONDS = 60.0

MOST_ITEMS = 20
"""
How many items with the same error are named in the log before the rest is counted.
"""

log = structlog.get_logger()


@dataclass(slots=True)
class Isolated:
    """
    A block of isolated work: *error* is what it raised, None if it has come to its end.
    """

    error: Exception | None = None


@dataclass(slots=True)
class _Repeated:
    seen: float
    logged: float
    items: set[str] = field(default_factory=set)
    count: int = 0


class FailureLog:
    """
    Logs errors as *event*: one that is new with its trace, the same one again as a count.

    Errors are the same if they have the same type and code and were raised in the same line. One
    that was not seen for a minute is new; while it is seen, its count is logged once a minute.
    Items with the same error are told apart by the fields of the line: the first 20 have a line
    each. All errors are counted in a metric under *event*. *clock* gives seconds that only grow.
    """

    def __init__(self, event: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._event = event
        self._clock = clock
        self._seen: dict[tuple[str, str, str, int], _Repeated] = {}

    @contextmanager
    def isolated(self, **fields: object) -> Iterator[Isolated]:
        """
        Log what the block raises and go on, so that one item does not stop the others.

        For work on many items: one block around each of them, with *fields* that name it. What
        the block yields tells afterwards whether the item failed. Use it inside a transaction
        only around work that does not touch the database: after an error of the database the
        transaction cannot go on, and a database that is away is not the fault of an item.
        """
        block = Isolated()
        try:
            yield block
        except Exception as error:  # noqa: BLE001 - every error is logged, none ends the work
            block.error = error
            self.log(error, **fields)

    def log(self, error: Exception, **fields: object) -> None:
        """
        Log *error* with *fields*, or count it.
        """
        metrics.BACKGROUND_ERRORS.add(self._event)
        now, key, item = self._clock(), _identity(error), repr(sorted(fields.items()))
        if problem := database_problem(error):
            fields = {"problem": problem, **fields}
        known = self._seen.get(key)
        if known is None or now - known.seen >= REPEATED_SECONDS:
            self._seen[key] = _Repeated(now, now, {item})
            log.error(self._event, error_type=key[0], exc_info=trace_of(error), **fields)
            return
        known.seen = now
        if item not in known.items and len(known.items) < MOST_ITEMS:
            known.items.add(item)
            log.error(self._event, error_type=key[0], **fields)
            return
        known.count += 1
        if now - known.logged >= REPEATED_SECONDS:
            log.error(self._event, error_type=key[0], count=known.count, **fields)
            known.logged, known.count = now, 0


class StoreFaults:
    """
    Judges the errors of calls. A statement of ours that the database does not understand is a
    fault of ours: it is logged as `store.statement_refused`, with its trace when it is new. A
    database that is away is logged as `rpc.store_unavailable`.
    """

    def __init__(self) -> None:
        self._refused = FailureLog("store.statement_refused")
        self._away = FailureLog("rpc.store_unavailable")

    def unavailable(self, error: Exception) -> bool:
        """
        Tell whether a caller may try again, because nothing is wrong with what it asked for.
        """
        match store_fault(error):
            case StoreFault.STATEMENT:
                self._refused.log(error)
            case StoreFault.UNAVAILABLE:
                self._away.log(error)
        return is_unavailable(error)


def trace_of(error: BaseException) -> BaseException | None:
    """
    Return *error* if its trace is worth logging: it says nothing where the store is away.
    """
    return None if store_fault(error) is StoreFault.UNAVAILABLE else error


def _identity(error: BaseException) -> tuple[str, str, str, int]:
    """
    Return the type and the code of an error with the file and the line that raised it.
    """
    name, code, frame = type(error).__name__, code_of(error), error.__traceback__
    if frame is None:
        return name, code, "", 0
    while frame.tb_next is not None:
        frame = frame.tb_next
    return name, code, frame.tb_frame.f_code.co_filename, frame.tb_lineno
