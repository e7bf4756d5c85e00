"""
The log of errors of work that goes on after them.
"""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import Any

from asyncpg.exceptions import UniqueViolationError
from sqlalchemy.exc import IntegrityError
from structlog.testing import capture_logs

from service_runtime.observability.instruments import REGISTRY
from service_runtime.process.failures import MOST_ITEMS, REPEATED_SECONDS, FailureLog, trace_of

Logged = MutableMapping[str, Any]


class Clock:
    """
    A clock that stands still until a test moves it.
    """

    def __init__(self) -> None:
        self.now = 0.0

    def read(self) -> float:
        """
        Return the time.
        """
        return self.now


def bug() -> None:
    """
    Fail.
    """
    raise KeyError("name")


def other_bug() -> None:
    """
    Fail in another line.
    """
    raise KeyError("name")


def refused() -> None:
    """
    Fail as a database that refuses a row does.
    """
    cause = UniqueViolationError("duplicate key")
    cause.detail, cause.table_name = "Key (email)=(ann@example.com) already exists.", "customers"
    raise IntegrityError("INSERT", {}, cause) from cause


def lines_of(failures: FailureLog, *work: Callable[[], None]) -> list[Logged]:
    """
    Let each piece of work fail; return what was logged.
    """
    with capture_logs() as logs:
        for each in work:
            with failures.isolated(kind="test"):
                each()
    return logs


def test_first_error_has_its_trace() -> None:
    """
    An error of ours shows where it was raised, with the fields of its item.
    """
    (line,) = lines_of(FailureLog("work.failed"), bug)

    assert (line["event"], line["log_level"], line["kind"]) == ("work.failed", "error", "test")
    assert line["error_type"] == "KeyError"
    assert isinstance(line["exc_info"], KeyError)


def test_repeated_error_is_counted_once_a_minute() -> None:
    """
    The same error again is one line a minute, with the number of repetitions.
    """
    clock = Clock()
    failures = FailureLog("work.failed", clock.read)
    assert len(lines_of(failures, bug, bug, bug)) == 1

    clock.now += REPEATED_SECONDS - 1
    assert lines_of(failures, bug) == []
    clock.now += 1
    (line,) = lines_of(failures, bug)

    assert line["count"] == 4
    assert "exc_info" not in line


def test_block_shows_whether_it_failed() -> None:
    """
    The item can be set aside afterwards.
    """
    failures = FailureLog("work.failed")

    with capture_logs(), failures.isolated() as failed:
        bug()
    with failures.isolated() as done:
        pass

    assert isinstance(failed.error, KeyError)
    assert done.error is None


def test_items_with_one_error_are_named() -> None:
    """
    The trace comes once; each further item has a line, up to a bound, and then is counted.
    """
    clock = Clock()
    failures = FailureLog("work.failed", clock.read)

    with capture_logs() as logs:
        for name in range(MOST_ITEMS + 5):
            with failures.isolated(name=name):
                bug()

    assert [line["name"] for line in logs] == list(range(MOST_ITEMS))
    assert ["exc_info" in line for line in logs] == [True] + [False] * (MOST_ITEMS - 1)

    clock.now += REPEATED_SECONDS - 1
    lines_of(failures, bug)
    clock.now += 1
    assert lines_of(failures, bug)[0]["count"] == 7


def test_errors_are_counted_in_a_metric() -> None:
    """
    Each error counts under its log event.
    """
    lines_of(FailureLog("work.counted"), bug, bug, other_bug)

    counted = REGISTRY.get_sample_value(
        "webhooks_background_errors_total", {"event": "work.counted"}
    )
    assert counted == 3


def test_error_of_another_place_is_new() -> None:
    """
    Two errors that alternate are both shown once.
    """
    logs = lines_of(FailureLog("work.failed"), bug, other_bug, bug, other_bug)

    assert [line["exc_info"] is not None for line in logs] == [True, True]


def test_error_that_comes_back_is_new() -> None:
    """
    After a minute without it an error has its trace again.
    """
    clock = Clock()
    failures = FailureLog("work.failed", clock.read)
    lines_of(failures, bug)

    clock.now += REPEATED_SECONDS
    (line,) = lines_of(failures, bug)

    assert isinstance(line["exc_info"], KeyError)


def test_problem_of_the_database_is_named() -> None:
    """
    Every line about a refusal of the database says which it was.
    """
    failures = FailureLog("work.failed")
    logs = [*lines_of(failures, refused), *lines_of(failures, refused)]

    assert [line["problem"] for line in logs] == ["sqlstate 23505, table customers"]
    assert "ann@example.com" not in str(logs[0]["problem"])


def test_store_that_is_away_has_no_trace() -> None:
    """
    The place says nothing while the store does not answer.
    """
    assert trace_of(ConnectionRefusedError()) is None
