"""
Filters of lists.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service_runtime.rpc import filters
from service_runtime.rpc.errors import InvalidArgument
from service_runtime.rpc.filters import Comparison

FIELDS = {
    "name": filters.text(),
    "size": filters.number(0, 2**31 - 1),
    "time": filters.instant(),
    "state": filters.one_of("OPEN", "SHUT"),
}


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("", ()),
        ("  ", ()),
        ('name = "a b"', (Comparison("name", "=", "a b"),)),
        (r'name = "a \"b\" \\"', (Comparison("name", "=", 'a "b" \\'),)),
        ("name!=plain", (Comparison("name", "!=", "plain"),)),
        ("size >= 5", (Comparison("size", ">=", 5),)),
        ("state = open", (Comparison("state", "=", "OPEN"),)),
        (
            'time < "2026-01-31T00:00:00+01:00"',
            (Comparison("time", "<", datetime(2026, 1, 30, 23, tzinfo=UTC)),),
        ),
        (
            "size > 1 AND size < 9 and name = x",
            (
                Comparison("size", ">", 1),
                Comparison("size", "<", 9),
                Comparison("name", "=", "x"),
            ),
        ),
    ],
)
def test_parses(source: str, wanted: tuple[Comparison, ...]) -> None:
    """
    Comparisons are read with their values in the types of the fields.
    """
    assert filters.parse(source, FIELDS) == wanted


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("color = red", "fields are name, size, time, state (at character 1)"),
        ("name > a", "name is compared with = != (at character 6)"),
        ("size = many", "size must be a whole number from 0 to 2147483647 (at character 8)"),
        ("time > yesterday", "time must be an instant"),
        ("state = AJAR", "state must be one of OPEN, SHUT"),
        ("name", "a comparison is a field, an operator and a value"),
        ("name = ", "a comparison is a field, an operator and a value"),
        ("name = = a", "a value must follow the operator"),
        ("size = 1 OR size = 2", "comparisons must be joined by AND (at character 10)"),
        ("size = 1 AND", "a comparison must follow AND"),
        ('name = "open', "cannot be understood (at character 7)"),
        ("size = 99999999999999999999", "size must be a whole number from 0 to 2147483647"),
        ("size = -1", "size must be a whole number from 0 to 2147483647"),
        ('name = "a\0"', "must not hold NUL (at character 10)"),
        ("x" * 2001, "must be at most 2000 characters"),
        (" AND ".join(["size = 1"] * 21), "must hold at most 20 comparisons"),
    ],
)
def test_refuses(source: str, problem: str) -> None:
    """
    What cannot be read is refused with the place and what is allowed.
    """
    with pytest.raises(InvalidArgument) as raised:
        filters.parse(source, FIELDS)

    assert problem in raised.value.message
    assert raised.value.reason == "FILTER_SYNTAX"


@pytest.mark.slow
@given(st.text(alphabet=st.sampled_from('namesizetm =<>!"\\AND0123TZ:-\0é ')))
def test_nothing_but_the_typed_error(source: str) -> None:
    """
    Whatever is given, it is a filter or a clear refusal.
    """
    with suppress(InvalidArgument):
        filters.parse(source, FIELDS)
