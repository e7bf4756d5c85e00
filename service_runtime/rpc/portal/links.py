"""
Portal links: sealed tokens with which guests act for the caller who made them, on one owner, in
one role, for an hour at most.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Sequence
from datetime import timedelta

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from service_runtime.rpc.callers import Caller

PREFIX = "shpl_"
"""
What tokens of links begin with, so that scanners find leaked ones.
"""

LONGEST = timedelta(hours=1)

_RANKS = ("reader", "operator", "admin")
_NONCE_BYTES = 12
_PURPOSE = b"portal link"


class PortalLink(msgspec.Struct, frozen=True, array_like=True):
    """
    What a guest may do, and for whom. *caller* made the link; *created_us* is when that caller was
    created, 0 for one of the settings, so that a later caller of the same name is another one. The
    link ends at *expires_us*. Both are in microseconds since 1970.
    """

    caller: str
    created_us: int
    owner: str
    role: str
    expires_us: int

    def guest(self, maker: Caller) -> Caller | None:
        """
        Return the guest, None if *maker* may not do any more what the link allows.
        """
        if self.role not in roles_to_give(maker) or not maker.may_touch(self.owner):
            return None
        name = f"{self.caller}/guests/{self.owner}"
        return Caller(name, frozenset({self.role}), frozenset({self.owner}), guest=True)


def roles_to_give(maker: Caller) -> Sequence[str]:
    """
    Return the roles that a caller may give to guests: its own, and those below.
    """
    highest = max((_RANKS.index(it) for it in maker.roles if it in _RANKS), default=-1)
    return _RANKS[: highest + 1]


class LinkSealer:
    """
    Seals links under *key*, 32 bytes, which all services share.
    """

    def __init__(self, key: bytes) -> None:
        self.key = key
        self._cipher = AESGCM(key)

    def seal(self, link: PortalLink) -> str:
        """
        Return the token of a link.
        """
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._cipher.encrypt(nonce, msgspec.json.encode(link), _PURPOSE)
        return PREFIX + base64.urlsafe_b64encode(nonce + sealed).decode().rstrip("=")

    def unseal(self, token: str) -> PortalLink | None:
        """
        Return the link of a token, None if it was not sealed under this key.
        """
        text = token.removeprefix(PREFIX)
        try:
            raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
            opened = self._cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], _PURPOSE)
            return msgspec.json.decode(opened, type=PortalLink)
        except (InvalidTag, ValueError, binascii.Error, msgspec.DecodeError):
            return None
