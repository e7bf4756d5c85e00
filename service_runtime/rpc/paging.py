"""
Pages of lists: their size, their sealed tokens, and the rows that fit.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from google.protobuf.message import Message

from service_runtime.rpc.errors import FieldFault, InvalidArgument

DEFAULT_SIZE = 50
LARGEST_SIZE = 1000
PAGE_BYTES = 3 * 1024 * 1024
"""
The largest page: clients receive messages of 4 MiB by default.
"""

_NONCE_BYTES = 12
_UNBOUND = frozenset({"page_size", "page_token", "cursor", "signing_secret"})

RowT = TypeVar("RowT")
MessageT = TypeVar("MessageT", bound=Message)

PageKey = list[int | str]
"""
The sort key of the last item of a page.
"""


def page_size(asked: int) -> int:
    """
    Return the number of items of a page: 50 for 0, at most 1,000.

    Raises `InvalidArgument` for a negative number.
    """
    if asked < 0:
        raise InvalidArgument(
            "The request is not valid.",
            faults=[FieldFault("page_size", "must be 0 for the default, or 1 to 1000")],
        )
    return min(asked or DEFAULT_SIZE, LARGEST_SIZE)


class Page(Generic[RowT]):
    """
    The first *size* of *rows*. A query asks for one row more, which shows that more follow.

    *key_of* returns the sort key of a row.
    """

    def __init__(self, rows: Sequence[RowT], size: int, key_of: Callable[[RowT], PageKey]) -> None:
        self.rows = rows[:size]
        self._more = len(rows) > size
        self._key_of = key_of

    @property
    def last(self) -> PageKey | None:
        """
        The key that the next page begins after; None for the last page.
        """
        return self._key_of(self.rows[-1]) if self._more else None

    def fit(self, messages: Sequence[MessageT]) -> tuple[Sequence[MessageT], PageKey | None]:
        """
        Return as many *messages*, one for each row, as a response can hold, and the key that
        the next page begins after.
        """
        shown = fitting(messages)
        if len(shown) == len(self.rows):
            return shown, self.last
        return shown, self._key_of(self.rows[len(shown) - 1])


def fitting(messages: Sequence[MessageT], most_bytes: int = PAGE_BYTES) -> Sequence[MessageT]:
    """
    Return as many of *messages* as *most_bytes* can hold, at least one.
    """
    total = 0
    for count, message in enumerate(messages):
        total += message.ByteSize()
        if total > most_bytes and count:
            return messages[:count]
    return messages


class PageTokens:
    """
    Makes and reads page tokens under *key*, 32 bytes.

    A token is bound to its method and to the whole request except the page's
    size, the token itself and the secret that a stream is signed with. It grants nothing. Cursors
    of streams are made the same way.
    """

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def make(self, last: PageKey | None, request: Message) -> str:
        """
        Seal the sort key of the last item of a page; None makes an empty token.
        """
        if last is None:
            return ""
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._cipher.encrypt(nonce, msgspec.json.encode(last), _bound_to(request))
        return base64.urlsafe_b64encode(nonce + sealed).decode().rstrip("=")

    def read(self, token: str, request: Message) -> PageKey | None:
        """
        Return the sort key that the page begins after; None for the first page.

        Raises `InvalidArgument` for a token that is not ours or of another request.
        """
        if not token:
            return None
        try:
            raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
            opened = self._cipher.decrypt(
                raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], _bound_to(request)
            )
        except (InvalidTag, ValueError, binascii.Error):
            raise InvalidArgument(
                "The page token is not one of this list.",
                reason="PAGE_TOKEN_INVALID",
                faults=[FieldFault("page_token", "must be the next_page_token of the same list")],
                method=request.DESCRIPTOR.name.removesuffix("Request"),
            ) from None
        return msgspec.json.decode(opened, type=PageKey)


def _bound_to(request: Message) -> bytes:
    """
    Hash the method and the fields that a token is bound to.
    """
    rest = type(request)()
    rest.CopyFrom(request)
    for field in _UNBOUND.intersection(rest.DESCRIPTOR.fields_by_name):
        rest.ClearField(field)
    content = request.DESCRIPTOR.full_name.encode() + b"\0"
    return hashlib.sha256(content + rest.SerializeToString(deterministic=True)).digest()
