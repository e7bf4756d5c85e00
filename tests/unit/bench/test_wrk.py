"""
The baseline in C: the script for `wrk`, and its output.
"""

from __future__ import annotations

import pytest

from tests.bench.wrk import Run, cpu_us_per_request, example_request, lua_string, outcome, script


def test_bytes_are_quoted_for_lua() -> None:
    """
    No byte of a body or a header ends the Lua string.
    """
    assert lua_string(b'a"\\\n0') == '"a\\034\\092\\0100"'


def test_script_posts_what_a_delivery_posts() -> None:
    """
    The script posts body and headers of a delivery, and runs no function for each request.
    """
    request = example_request()
    written = script(request)

    assert f"wrk.body = {lua_string(request.body)}" in written
    assert all(lua_string(name) in written for name, _ in request.headers)
    assert "function request" not in written


def test_outcome_is_the_last_line() -> None:
    """
    The outcome is the last line; `wrk` prints a report before it.
    """
    printed = 'Running 1s test\n\n{"requests": 5, "duration_us": 1000000, "errors": 0}\n'

    assert outcome(printed, 0.5) == Run(5, 1.0, 0.5)


@pytest.mark.parametrize("counted", ['"requests": 5, "errors": 1', '"requests": 0, "errors": 0'])
def test_failed_requests_are_no_baseline(counted: str) -> None:
    """
    A run with failed requests, or without any, is an error.
    """
    with pytest.raises(RuntimeError, match="requests failed"):
        outcome(f'{{{counted}, "duration_us": 1}}', 0.5)


def test_start_and_handshakes_do_not_count() -> None:
    """
    The cost of a request excludes start and handshakes.
    """
    short, long = Run(1000, 1.0, 0.5 + 0.01), Run(11_000, 5.0, 0.5 + 0.11)

    assert cpu_us_per_request(short, long) == pytest.approx(10.0)
