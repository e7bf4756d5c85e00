"""
Codes that show that a message comes from who has the key.
"""

from __future__ import annotations

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC


class Mac:
    """
    HMAC-SHA256 under one key.

    The key is taken in at the first use and then copied: to look the algorithm up and to take
    a key in costs several times what hashing a small message does.
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
