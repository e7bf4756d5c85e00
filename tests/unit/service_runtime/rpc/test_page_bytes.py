"""
Pages end before they grow too large for a client.
"""

from __future__ import annotations

from google.protobuf.wrappers_pb2 import BytesValue

from service_runtime.rpc.page_bytes import fitting


def test_page_ends_where_it_is_full() -> None:
    """
    As many as fit, one at least, all where there is room.
    """
    messages = [BytesValue(value=b"x" * 100) for _ in range(5)]
    assert len(fitting(messages, 250)) == 2
    assert len(fitting(messages, 10)) == 1
    assert len(fitting(messages, 10_000)) == 5
    assert fitting([], 10) == []
