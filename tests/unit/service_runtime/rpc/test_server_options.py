"""
Options of servers are names that the library knows: it ignores others without a word.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from service_runtime.rpc import server

NAMES = [name for name, _ in server.OPTIONS] + ["grpc.max_concurrent_streams", "grpc.so_reuseport"]


@pytest.mark.parametrize("name", NAMES)
def test_option_is_known(name: str) -> None:
    """
    Each name stands in the library's binary, at the end of a text.
    """
    found = find_spec("grpc._cython.cygrpc")
    assert found is not None
    assert f"{name}\0".encode() in Path(str(found.origin)).read_bytes()


@pytest.mark.slow
def test_option_that_is_not_known() -> None:
    """
    The test above notices a name that is wrong.
    """
    with pytest.raises(AssertionError):
        test_option_is_known("grpc.http2.min_recv_ping_interval_without_data_ms")
