"""
Codes of messages.
"""

import hmac

import pytest

from service_runtime.keys.macs import Mac


@pytest.mark.parametrize("size", [0, 1, 24, 32, 64, 65, 200])
def test_codes_are_those_of_hmac(size: int) -> None:
    """
    Whatever the length of the key, codes are those of the standard library, again and again.
    """
    key = bytes(range(200))[:size]
    mac = Mac(key)

    for message in (b"", b"a", b"b" * 1000, b"a"):
        assert mac.digest(message) == hmac.digest(key, message, "sha256")
