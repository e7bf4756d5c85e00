"""
Values that a browser keeps for the console and can neither read nor make.
"""

from __future__ import annotations

import secrets
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
_NONCE_BYTES, _TIME_BYTES = 12, 8


class Sealer:
    """
    Seals texts under a key of 32 bytes (AES-256-GCM).
    """

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def seal(self, text: str, place: str) -> str:
        """
        Return *text* so that `unseal` reads it, in the same *place* only.
        """
        nonce = secrets.token_bytes(_NONCE_BYTES)
        content = int(time.time()).to_bytes(_TIME_BYTES) + text.encode()
        sealed = nonce + self._cipher.encrypt(nonce, content, place.encode())
        return urlsafe_b64encode(sealed).decode()

    def unseal(self, sealed: str, place: str, seconds: int) -> str | None:
        """
        Return the text, `None` if it was sealed for another place, under another key or more
        than *seconds* ago, or is no such text at all.
        """
        try:
            content = urlsafe_b64decode(sealed.encode())
            nonce, rest = content[:_NONCE_BYTES], content[_NONCE_BYTES:]
            opened = self._cipher.decrypt(nonce, rest, place.encode())
        except (InvalidTag, ValueError):
            return None
        age = time.time() - int.from_bytes(opened[:_TIME_BYTES])
        return opened[_TIME_BYTES:].decode() if age <= seconds else None
