"""
How the calls of one event are selected and counted.
"""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from tests.support.trace_figures import START, Call, Moments, of_event, table, totals, way

MOMENTS = Moments(idle=0.0, published=10.0, committed=20.0)
API, COMMIT, ROWS, CLOCK, PAYLOAD, SHARED = (
    "dispatch_service/api/publisher.py",
    "dispatch_service/intake/commit.py",
    "dispatch_service/storage/rows.py",
    "dispatch_service/app.py",
    "dispatch_service/payloads/orders.py",
    "service_runtime/rpc/names.py",
)


def calls_of(*calls: tuple[float, str, str, str]) -> list[Call]:
    """
    Make calls of their times, files, functions and tasks.
    """
    return [Call(*call) for call in calls]


def in_order(*places: tuple[str, str]) -> list[Call]:
    """
    Make calls of files and functions, a second after another.
    """
    return [Call(second, file, name, "a") for second, (file, name) in enumerate(places)]


def names(calls: Iterable[Call]) -> list[str]:
    """
    Return the functions that are called.
    """
    return [call.function for call in calls]


def test_trace_begins_with_the_publisher() -> None:
    """
    Calls before the publisher's method and before the publication do not count.
    """
    recorded = calls_of(
        (9.0, API, START, "known"),
        (10.1, API, "authorise", "rpc"),
        (10.2, API, START, "rpc"),
        (10.3, COMMIT, "accept", "rpc"),
    )

    assert names(of_event(recorded, MOMENTS, 1.0)) == [START, "accept"]


def test_trace_ends_with_the_last_new_function() -> None:
    """
    What is only repeated at the end, and what comes later than *afterwards*, does not count.
    """
    recorded = calls_of(
        (11.0, API, START, "rpc"),
        (12.0, COMMIT, "tick", ""),
        (20.5, COMMIT, "settled", "results"),
        (20.6, COMMIT, "tick", ""),
        (21.5, COMMIT, "close", ""),
    )

    assert names(of_event(recorded, MOMENTS, 1.0)) == [START, "tick", "settled"]


def test_periodic_tasks_are_left_out() -> None:
    """
    A task that also runs in idle time is left out; callbacks of the event loop are kept.
    """
    recorded = calls_of(
        (5.0, COMMIT, "check_alive", "health"),
        (5.1, COMMIT, "tick", ""),
        (11.0, API, START, "rpc"),
        (11.1, COMMIT, "check_alive", "health"),
        (11.2, COMMIT, "tick", ""),
    )

    assert names(of_event(recorded, MOMENTS, 1.0)) == [START, "tick"]


def test_trace_without_the_publisher_is_refused() -> None:
    """
    Figures of nothing would look good.
    """
    with pytest.raises(ValueError, match="was not called"):
        of_event(calls_of((11.0, COMMIT, "accept", "rpc")), MOMENTS, 1.0)


def test_totals() -> None:
    """
    All calls and first calls are counted apart; ground rooms and shared packages can be left out.
    """
    counted = totals(
        in_order(
            (API, "publish"),
            (COMMIT, "accept"),
            (PAYLOAD, "render"),
            (COMMIT, "accept"),
            (ROWS, "insert"),
            (COMMIT, "answer"),
            (SHARED, "event_name"),
            (CLOCK, "utc_now"),
        )
    )

    assert dict(counted) == {
        "files entered": 6,
        "  of the dispatch service, payloads left out": 4,
        "  of the payloads": 1,
        "  of the shared packages": 1,
        "named functions, payloads left out": 6,
        "named functions": 7,
        "changes of file, all calls": 7,
        "changes of file, first calls": 6,
        "rooms entered": 6,
        "changes of room, first calls": 6,
        "  from or to intake": 4,
        "changes of room, first calls, ground rooms left out": 4,
        "  from or to intake, ground rooms left out": 4,
    }


def test_figures_are_named_in_a_table() -> None:
    """
    A row of the table is a figure.
    """
    lines = table(totals(in_order((API, "publish"), (COMMIT, "accept"))))

    assert "| files entered | 2 |" in lines
    assert "| changes of file, first calls | 1 |" in lines
    assert "|   from or to intake | 1 |" in lines


def test_way_groups_functions_by_room_and_file() -> None:
    """
    A function stands where it was first called; rooms and files that were left are marked.
    """
    lines = way(
        in_order(
            (API, "publish"),
            (COMMIT, "accept"),
            (COMMIT, "commit"),
            (API, "publish"),
            (CLOCK, "utc_now"),
            (COMMIT, "answer"),
        )
    )

    assert lines == [
        "api",
        "    publisher: publish",
        "intake",
        "    commit: accept, commit",
        "app",
        "    app: utc_now",
        "intake (again)",
        "*   commit: answer",
    ]
