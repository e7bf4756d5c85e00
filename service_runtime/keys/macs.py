"""
Message authentication codes.
"""

from __future__ import annotations

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC


class Mac:
    """
    HMAC-SHA256 under one key.

    The keyed state is made at the first use and copied for each message: setting up the
    algorithm and the key costs several times as much as hashing a small message.
    """

    __slots__ = ("_key", "_keyed")

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._keyed: HMAC | None = None

    def digest(self, message: bytes) -> bytes:
        """
        Return the code of *message*, 32 bytes.
        """
        if self._keyed is None:
            self._keyed = HMAC(self._key, SHA256())
        mac = self._keyed.copy()
        mac.update(message)
        return mac.finalize()
