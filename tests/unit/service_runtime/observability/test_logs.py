"""
What may be logged.
"""

from __future__ import annotations

import json
import logging

import pytest
import structlog
from structlog.testing import capture_logs

from service_runtime.observability.logs import (
    LibraryLines,
    configure,
    only_allowed,
    with_subject,
)
from service_runtime.rpc.gate.log_context import CallSubject, current_subject
from tests.support.kept_logging import logging_kept


def test_fields_that_are_not_on_the_list_are_dropped() -> None:
    """
    A field that nobody allowed is named, not shown.
    """
    logged = only_allowed(None, "info", {"event": "x", "owner": "accounts/1", "body": "secret"})

    assert logged["owner"] == "accounts/1"
    assert "secret" not in str(logged)
    assert logged["detail"] == "fields not allowed in logs: body"


def test_fields_without_a_value_are_left_out() -> None:
    """
    Zero and false are values.
    """
    given = {"event": "x", "reason": "", "kind": None, "count": 0, "dead": False}

    assert only_allowed(None, "info", given) == {"event": "x", "count": 0, "dead": False}


def test_fields_of_a_line_win_over_those_of_its_subject() -> None:
    """
    A line about another delivery than the one that is being attempted says so.
    """
    subject = CallSubject("/a/b")
    subject.caller = "callers/a"
    outer = current_subject.set(subject)
    try:
        line = with_subject(None, "info", {"event": "x", "caller": "callers/b"})
    finally:
        current_subject.reset(outer)

    assert (line["caller"], line["method"]) == ("callers/b", "/a/b")


def test_long_texts_are_cut() -> None:
    """
    One value does not fill the log.
    """
    logged = only_allowed(None, "info", {"event": "x", "problem": "y" * 1000})

    assert len(logged["problem"]) == 501


def test_what_a_library_repeats_is_counted() -> None:
    """
    The pool of connections logs a traceback for each one that a restarted database has closed.
    """
    now = [0.0]
    library = logging.getLogger("tests.library")
    handler = LibraryLines(lambda: now[0])
    library.addHandler(handler)
    library.propagate = False
    try:
        with capture_logs() as logs:
            for second in (0, 1, 2, 70, 71):
                now[0] = second
                library.error("connection %d is lost\nwith values", second)
            library.warning("something else")
    finally:
        library.removeHandler(handler)

    assert [(it["detail"], it["count"], it["log_level"]) for it in logs] == [
        ("connection 0 is lost", None, "error"),
        ("connection 70 is lost", 2, "error"),
        ("something else", None, "warning"),
    ]


def test_lines_of_a_worker_say_which_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    """
    Several processes write to one stream.
    """
    with logging_kept():
        configure(level="info", console=False, worker=2)
        structlog.get_logger().info("service.listening", port=1)

    assert json.loads(capsys.readouterr().err)["worker"] == 2
