"""
Secrets at rest: AES-256-GCM under keys that lie outside the database.

A sealed value is bound to its place (table, row and column): moved elsewhere
it does not open. Two ways of sealing share the ring: an envelope with a data
key of its own for each value, for the few that are secrets by themselves; and
data keys that are wrapped once and seal many values, for what is written all
the time.
"""

from __future__ import annotations

import base64
import binascii
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from service_runtime.keys.macs import Mac

KEY_BYTES = 32
_NONCE_BYTES = 12
_TAG_BYTES = 16
_FORMAT = 1
_WRAPPED_BYTES = _NONCE_BYTES + KEY_BYTES + _TAG_BYTES


class SealBrokenError(Exception):
    """
    A sealed value was changed, moved from its place, or is not one.
    """


class UnknownKeyError(Exception):
    """
    A value is sealed under a key that the ring does not have.
    """


class Place(NamedTuple):
    """
    Where a sealed value lies.
    """

    table: str
    key: tuple[str, ...]
    column: str

    def encoded(self) -> bytes:
        """
        Write the place so that no two places look alike.
        """
        return "\0".join((self.table, *self.key, self.column)).encode()


class DataKey:
    """
    A key that seals many values. Each costs a nonce and a tag, 28 bytes.
    """

    __slots__ = ("_cipher", "_key")

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._cipher = AESGCM(key)

    @classmethod
    def generate(cls) -> DataKey:
        """
        Make a new key.
        """
        return cls(AESGCM.generate_key(KEY_BYTES * 8))

    @property
    def raw(self) -> bytes:
        """
        The key itself, to be wrapped.
        """
        return self._key

    def seal(self, plaintext: bytes, place: Place) -> bytes:
        """
        Seal *plaintext* for *place*.
        """
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, plaintext, place.encoded())

    def open(self, sealed: bytes, place: Place) -> bytes:
        """
        Open a value. Raises `SealBrokenError`.
        """
        try:
            return self._cipher.decrypt(
                sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], place.encoded()
            )
        except (InvalidTag, ValueError):
            raise SealBrokenError(f"{place.table}.{place.column} does not open") from None


@dataclass(frozen=True, slots=True)
class RingKey:
    """
    A key of the ring and the id that it goes by.
    """

    key_id: str
    key: DataKey


class KeyRing:
    """
    The keys of the settings: the first seals, all open.
    """

    def __init__(self, keys: Mapping[str, bytes], hash_key: bytes) -> None:
        self._keys = {key_id: DataKey(key) for key_id, key in keys.items()}
        self._first = next(iter(self._keys))
        self._mac = Mac(hash_key)

    def __repr__(self) -> str:
        return f"KeyRing({', '.join(self._keys)})"

    @property
    def first(self) -> str:
        """
        The id of the key that seals.
        """
        return self._first

    @property
    def key_ids(self) -> tuple[str, ...]:
        """
        The ids of all its keys.
        """
        return tuple(self._keys)

    def seal(self, plaintext: bytes, place: Place) -> bytes:
        """
        Seal a value under a data key of its own.
        """
        data_key = DataKey.generate()
        return self.wrap(data_key, place) + data_key.seal(plaintext, place)

    def open(self, sealed: bytes, place: Place) -> bytes:
        """
        Open a value. Raises `SealBrokenError` and `UnknownKeyError`.
        """
        end = _wrapped_end(sealed)
        return self.unwrap(sealed[:end], place).open(sealed[end:], place)

    def rewrap(self, sealed: bytes, place: Place) -> bytes:
        """
        Put a sealed value, or a wrapped key alone, under the first key of the ring.
        """
        end = _wrapped_end(sealed)
        return self.wrap(self.unwrap(sealed[:end], place), place) + sealed[end:]

    def wrap(self, data_key: DataKey, place: Place) -> bytes:
        """
        Wrap a data key: a format byte, the id of the wrapping key, the sealed key.
        """
        bound = place._replace(table=f"{place.table}:{self._first}")
        return key_prefix(self._first) + self._keys[self._first].seal(data_key.raw, bound)

    def unwrap(self, wrapped: bytes, place: Place) -> DataKey:
        """
        Unwrap a data key. Raises `SealBrokenError` and `UnknownKeyError`.
        """
        key_id = wrapping_key(wrapped)
        if key_id not in self._keys:
            raise UnknownKeyError(f"the key ring has no key {key_id!r}")
        bound = place._replace(table=f"{place.table}:{key_id}")
        return DataKey(self._keys[key_id].open(wrapped[2 + len(key_id.encode()) :], bound))

    def keyed_hash(self, purpose: str, value: str) -> bytes:
        """
        Hash *value* so that it can be looked up but not guessed at without the key.

        The hash key stays when the other keys rotate: rows are found by what
        it once made.
        """
        return self._mac.digest(f"{purpose}\0{value}".encode())


def key_prefix(key_id: str) -> bytes:
    """
    Return what everything begins with that is sealed under a key.
    """
    encoded = key_id.encode()
    return bytes([_FORMAT, len(encoded)]) + encoded


def wrapping_key(sealed: bytes) -> str:
    """
    Read the id of the key that a value or a data key is wrapped under.
    """
    if len(sealed) < 2 or sealed[0] != _FORMAT:  # noqa: PLR2004 - format and length bytes
        raise SealBrokenError("not a sealed value")
    return sealed[2 : 2 + sealed[1]].decode(errors="replace")


def _wrapped_end(sealed: bytes) -> int:
    return 2 + len(wrapping_key(sealed).encode()) + _WRAPPED_BYTES


def parse_keys(text: str) -> dict[str, bytes]:
    """
    Read `id:base64,id:base64`, the keys of 32 bytes each, newest first.

    Raises `ValueError` with a text that does not show the keys.
    """
    keys: dict[str, bytes] = {}
    for number, entry in enumerate(filter(None, map(str.strip, text.split(","))), start=1):
        key_id, colon, encoded = entry.partition(":")
        if not colon or not key_id.isascii() or not 1 <= len(key_id) <= 32:  # noqa: PLR2004
            raise ValueError(f"entry {number} must be an id of 1 to 32 characters, a colon, a key")
        if key_id in keys:
            raise ValueError(f"entry {number} repeats the id {key_id!r}")
        keys[key_id] = parse_key(encoded, f"the key {key_id!r}")
    if not keys:
        raise ValueError("must hold at least one key")
    return keys


def parse_key(encoded: str, what: str) -> bytes:
    """
    Read a key of 32 bytes in base64. Raises `ValueError`, naming *what* it is.
    """
    try:
        key = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise ValueError(f"{what} must be {KEY_BYTES} bytes in base64")
    return key


def derived_hash_key(key: bytes) -> bytes:
    """
    Derive a hash key, for development where only one key lies in the key file.
    """
    return HKDF(SHA256(), KEY_BYTES, salt=None, info=b"shipedge webhooks hash key").derive(key)


def development_ring(directory: Path) -> KeyRing:
    """
    Read the key of development from `development.key` in *directory*, made at first.

    Raises `PermissionError` if others may read the file.
    """
    path = directory / "development.key"
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    _create_key_file(path)
    if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise PermissionError(f"{path} must be readable by its owner alone (chmod 600)")
    key = parse_key(path.read_text().strip(), str(path))
    return KeyRing({"development": key}, derived_hash_key(key))


def _create_key_file(path: Path) -> None:
    """
    Write a new key unless the file is there; two processes may try at once.
    """
    if path.exists():
        return
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(base64.b64encode(os.urandom(KEY_BYTES)).decode())
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
