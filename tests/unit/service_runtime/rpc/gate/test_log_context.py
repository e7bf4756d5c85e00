"""
What all lines of a call are about.
"""

from __future__ import annotations

import pytest

from service_runtime.rpc.gate.log_context import (
    CallSubject,
    request_id_of,
    trace_id_of,
    trace_parent_of,
)

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("order-export.7:1", "order-export.7:1"),
        ("a" * 64, "a" * 64),
        ("a" * 65, ""),
        ("", ""),
        ("two words", ""),
        ("line\nbreak", ""),
        ("accounts/1", ""),
        (b"abc", ""),
        (None, ""),
    ],
)
def test_request_id_of_a_caller(given: str | bytes | None, expected: str) -> None:
    """
    It goes into the log, so it may not be any text.
    """
    metadata = {} if given is None else {"x-request-id": given}

    assert request_id_of(metadata) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (f"00-{TRACE}-00f067aa0ba902b7-01", TRACE),
        (f"01-{TRACE}-00f067aa0ba902b7-00-more", TRACE),
        (f"00-{TRACE.upper()}-00f067aa0ba902b7-01", ""),
        (f"00-{'0' * 32}-00f067aa0ba902b7-01", ""),
        (f"00-{TRACE}-00f067aa0ba902b7", ""),
        ("anything", ""),
        (None, ""),
    ],
)
def test_trace_of_a_call(given: str | None, expected: str) -> None:
    """
    W3C Trace Context; what is malformed is as if it was not given.
    """
    found = trace_parent_of({} if given is None else {"traceparent": given})

    assert trace_id_of(found) == expected
    assert len(found) in {0, 55}


def test_calls_without_an_id_get_one_each() -> None:
    """
    It stays the same, although the metadata of a stream are read again.
    """
    one, other = CallSubject("/a/b"), CallSubject("/a/b")
    one.read({})
    other.read({})
    first = one.request_id
    one.read({"x-request-id": "late"})

    assert one.request_id == first != other.request_id
