"""
What is counted of a message before it is decoded.
"""

from __future__ import annotations

import pytest
from google.protobuf.empty_pb2 import Empty

from service_runtime.rpc.gate.messages import MessageMalformed, decoded, element_count

EVENT = b"\x0a\x00"


@pytest.mark.parametrize(
    ("raw", "count", "whole"),
    [
        (b"", 0, True),
        (EVENT * 3, 3, True),
        (EVENT * 10, 10, True),
        (EVENT * 11, 10, False),
        (b"\x08\x96\x01" + EVENT, 1, True),
        (b"\x12\x03abc" + EVENT + b"\x09" + b"x" * 8 + b"\x15" + b"x" * 4, 1, True),
        (b"\x12\x00" * 20 + EVENT * 20, 0, False),
        (b"\x0a\x7f" + b"x" * 127 + EVENT, 2, True),
        (b"\x0a\x80\x01" + b"x" * 128 + EVENT, 2, True),
        (b"\x0a\xff\x7f" + b"x" * 16383 + EVENT, 2, True),
        (b"\x0a\x80\x80\x01" + b"x" * 16384 + EVENT, 2, True),
        # Longer than they need to be, as decoders accept them.
        (b"\x8a\x00\x80\x00" + b"\x0a\x80\x80\x00" + EVENT, 3, True),
        (b"\x8a\x01\x00" + EVENT, 1, True),
    ],
)
def test_elements_are_counted(raw: bytes, count: int, whole: bool) -> None:
    """
    Elements of field 1 are counted among the first ten fields.
    """
    assert element_count(raw, 1, 10) == (count, whole)


@pytest.mark.parametrize(
    "raw",
    [
        b"\x0a",
        b"\x0a\x05abc",
        b"\xff" * 11,
        b"\x0b\x0c",
        b"\x08\x80",
        b"\x09abc",
        b"\x0a\x7fabc",
        b"\x0a\x83\x01abc",
        b"\x0a\x80",
    ],
)
def test_bytes_that_are_no_message(raw: bytes) -> None:
    """
    What ends too early, and groups, are no messages of the contract.
    """
    with pytest.raises(ValueError, match=r"group|within"):
        element_count(raw, 1, 10)


def test_elements_of_a_field_with_a_long_tag_are_counted() -> None:
    """
    The first byte of its tag is not taken for a tag of one byte.
    """
    assert element_count(b"\x82\x01\x03abc" * 3, 16, 10) == (3, True)


def test_decoder_is_not_quoted() -> None:
    """
    The error names the method and nothing else.
    """
    with pytest.raises(MessageMalformed) as raised:
        decoded(Empty.FromString, b"\xff", "/a.Service/Do")
    assert raised.value.message == "The bytes are no request of Do."
