"""
Which headers a customer may set.
"""

import pytest

from service_runtime.rules.headers import (
    HeaderProblem,
    header_problems,
    trimmed,
    why_name_refused,
    why_value_refused,
)

_RESERVED = "the name is reserved"
_BAD_NAME = "the name holds a character that is not allowed in header names"
_BAD_VALUE = "the value holds a character outside visible ASCII, space and tab"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("X-Api-Key", None),
        ("Authorization", None),
        ("Cookie", None),
        ("x" * 64, None),
        ("x" * 65, "the name is longer than 64 characters"),
        ("", "the name is empty"),
        (":authority", _BAD_NAME),
        ("X-é", _BAD_NAME),
        ("X A", _BAD_NAME),
        ("X:", _BAD_NAME),
        ("X\r", _BAD_NAME),
        ("X\n", _BAD_NAME),
        ("X\x00", _BAD_NAME),
        ("Host", _RESERVED),
        ("CONTENT-LENGTH", _RESERVED),
        ("Transfer-Encoding", _RESERVED),
        ("Connection", _RESERVED),
        ("Keep-Alive", _RESERVED),
        ("TE", _RESERVED),
        ("Trailer", _RESERVED),
        ("Upgrade", _RESERVED),
        ("Expect", _RESERVED),
        ("Proxy-Authorization", _RESERVED),
        ("Proxy-Connection", _RESERVED),
        ("webhook-id", _RESERVED),
        ("Webhook-Signature", _RESERVED),
        ("webhook-timestamp", _RESERVED),
        ("User-Agent", _RESERVED),
        ("Content-Type", _RESERVED),
        ("Content-Encoding", _RESERVED),
        ("traceparent", _RESERVED),
        ("X-Shipedge-Topic", _RESERVED),
    ],
)
def test_names(name: str, why: str | None) -> None:
    """
    A name is a token that neither frames the message nor belongs to the sender.
    """
    assert why_name_refused(name) == why


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("Bearer abc", None),
        ("a\tb", None),
        ("", None),
        ("x" * 4096, None),
        ("x" * 4097, "the value is longer than 4096 characters"),
        ("é", _BAD_VALUE),
        ("a\r\nX: 1", _BAD_VALUE),
        ("a\r\n b", _BAD_VALUE),
        ("a\n", _BAD_VALUE),
        ("a\x00", _BAD_VALUE),
        ("a\x7f", _BAD_VALUE),
        (" a", "the value begins or ends with a blank"),
        ("a\t", "the value begins or ends with a blank"),
    ],
)
def test_values(value: str, why: str | None) -> None:
    """
    A value is visible ASCII with blanks inside.
    """
    assert why_value_refused(value) == why


def test_blanks_are_trimmed() -> None:
    """
    Blanks around a value are dropped when it is written, nothing else is.
    """
    assert trimmed(" \ta b\t ") == "a b"
    assert trimmed("a\n") == "a\n"


def test_problems_name_the_header() -> None:
    """
    A problem says which header it is about, and never any part of a value.
    """
    problems = header_problems(
        [("X-Good", "1"), ("Host", "s3cret"), ("X-Bad", "é s3cret")], has_credential=False
    )

    assert problems == [
        HeaderProblem(index=1, name="Host", reason=_RESERVED),
        HeaderProblem(index=2, name="X-Bad", reason=_BAD_VALUE, field="value"),
    ]


def test_same_name_twice() -> None:
    """
    A name may stand once, in whatever case.
    """
    problems = header_problems([("X-A", "1"), ("x-a", "2")], has_credential=False)

    assert problems == [HeaderProblem(index=1, name="x-a", reason="the name is given twice")]


@pytest.mark.parametrize(("has_credential", "count"), [(False, 0), (True, 1)])
def test_authorization_beside_a_credential(has_credential: bool, count: int) -> None:
    """
    `Authorization` may be set by hand only where no credential sets it.
    """
    problems = header_problems([("Authorization", "Basic x")], has_credential=has_credential)

    assert len(problems) == count


def test_limits_of_all_headers_together() -> None:
    """
    At most 20 headers and 16 KiB of names and values.
    """
    fine = [(f"X-{number:02}", "v") for number in range(20)]
    large = [(f"X-{number}", "v" * 4096) for number in range(4)]

    assert header_problems(fine, has_credential=False) == []
    assert [p.reason for p in header_problems([*fine, ("Y", "")], has_credential=False)] == [
        "more than 20 headers"
    ]
    assert [p.reason for p in header_problems(large, has_credential=False)] == [
        "names and values together are longer than 16384 characters"
    ]
