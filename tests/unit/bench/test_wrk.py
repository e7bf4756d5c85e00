"""
The baseline in C: what `wrk` is told, and what is read from it.
"""

from __future__ import annotations

import pytest

from tests.bench.wrk import Run, cpu_us_per_request, example_request, lua_string, outcome, script


def test_bytes_are_quoted_for_lua() -> None:
    """
    Nothing in a body or a header can end the string.
    """
    assert lua_string(b'a"\\\n0') == '"a\\034\\092\\0100"'


def test_script_posts_what_a_delivery_posts() -> None:
    """
    Body and headers are those of the product; nothing runs for each request.
    """
    request = example_request()
    written = script(request)

    assert f"wrk.body = {lua_string(request.body)}" in written
    assert all(lua_string(name) in written for name, _ in request.headers)
    assert "function request" not in written


def test_outcome_is_the_last_line() -> None:
    """
    What `wrk` prints for people stands before it.
    """
    printed = 'Running 1s test\n\n{"requests": 5, "duration_us": 1000000, "errors": 0}\n'

    assert outcome(printed, 0.5) == Run(5, 1.0, 0.5)


@pytest.mark.parametrize("counted", ['"requests": 5, "errors": 1', '"requests": 0, "errors": 0'])
def test_failed_requests_are_no_baseline(counted: str) -> None:
    """
    A receiver that refuses is cheap.
    """
    with pytest.raises(RuntimeError, match="requests failed"):
        outcome(f'{{{counted}, "duration_us": 1}}', 0.5)


def test_start_and_handshakes_do_not_count() -> None:
    """
    They are in both runs, so the difference is without them.
    """
    short, long = Run(1000, 1.0, 0.5 + 0.01), Run(11_000, 5.0, 0.5 + 0.11)

    assert cpu_us_per_request(short, long) == pytest.approx(10.0)
