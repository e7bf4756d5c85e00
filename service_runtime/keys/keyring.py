"""
Encryption at rest: AES-256-GCM under keys that are stored outside the database.

Table, row and column of a sealed value are its associated data, so a value that is moved to
another row does not open. `KeyRing.seal` gives each value a data key of its own: for the few
values that are secrets. `KeyRing.wrap` wraps a data key that then seals many values: for
payloads and logs, which are written all the time.
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
    A value was changed or moved to another row or column, or is no sealed value.
    """


class UnknownKeyError(Exception):
    """
    A value is sealed under a key that the key ring lacks.
    """


class AssociatedData(NamedTuple):
    """
    The table, the primary key and the column of a sealed value.
    """

    table: str
    key: tuple[str, ...]
    column: str

    def encoded(self) -> bytes:
        """
        Encode the parts so that no two values share their associated data.
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

    def seal(self, plaintext: bytes, associated: AssociatedData) -> bytes:
        """
        Encrypt *plaintext* and bind it to *associated*.
        """
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, plaintext, associated.encoded())

    def open(self, sealed: bytes, associated: AssociatedData) -> bytes:
        """
        Decrypt a value. Raises `SealBrokenError`.
        """
        try:
            return self._cipher.decrypt(
                sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], associated.encoded()
            )
        except (InvalidTag, ValueError):
            raise SealBrokenError(f"{associated.table}.{associated.column} does not open") from None


@dataclass(frozen=True, slots=True)
class RingKey:
    """
    A key of the ring with its id.
    """

    key_id: str
    key: DataKey


class KeyRing:
    """
    The keys of the settings: the first one seals, all of them open.
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

    def seal(self, plaintext: bytes, associated: AssociatedData) -> bytes:
        """
        Encrypt a value under a new data key, which is stored with it, wrapped.
        """
        data_key = DataKey.generate()
        return self.wrap(data_key, associated) + data_key.seal(plaintext, associated)

    def open(self, sealed: bytes, associated: AssociatedData) -> bytes:
        """
        Decrypt a value. Raises `SealBrokenError` and `UnknownKeyError`.
        """
        end = _wrapped_end(sealed)
        return self.unwrap(sealed[:end], associated).open(sealed[end:], associated)

    def rewrap(self, sealed: bytes, associated: AssociatedData) -> bytes:
        """
        Wrap the data key of a sealed value, or a wrapped key, under the first key of the ring.
        """
        end = _wrapped_end(sealed)
        return self.wrap(self.unwrap(sealed[:end], associated), associated) + sealed[end:]

    def wrap(self, data_key: DataKey, associated: AssociatedData) -> bytes:
        """
        Wrap a data key: a format byte, the id of the wrapping key, the sealed key.
        """
        bound = associated._replace(table=f"{associated.table}:{self._first}")
        return key_prefix(self._first) + self._keys[self._first].seal(data_key.raw, bound)

    def unwrap(self, wrapped: bytes, associated: AssociatedData) -> DataKey:
        """
        Unwrap a data key. Raises `SealBrokenError` and `UnknownKeyError`.
        """
        key_id = wrapping_key(wrapped)
        if key_id not in self._keys:
            raise UnknownKeyError(f"the key ring has no key {key_id!r}")
        bound = associated._replace(table=f"{associated.table}:{key_id}")
        return DataKey(self._keys[key_id].open(wrapped[2 + len(key_id.encode()) :], bound))

    def keyed_hash(self, purpose: str, value: str) -> bytes:
        """
        Hash *value* for *purpose*, to look rows up; without the key nobody can guess values.

        The hash key stays when the other keys rotate, because rows are found by old hashes.
        """
        return self._mac.digest(f"{purpose}\0{value}".encode())


SEALED_PREFIX = bytes([_FORMAT])
"""
The first byte of all values that a ring has sealed. Others are damaged.
"""


def key_prefix(key_id: str) -> bytes:
    """
    Return the first bytes of all values that are sealed under the key *key_id*.
    """
    encoded = key_id.encode()
    return bytes([_FORMAT, len(encoded)]) + encoded


def wrapping_key(sealed: bytes) -> str:
    """
    Return the id of the key that wraps a data key. Raises `SealBrokenError`.
    """
    if len(sealed) < 2 or sealed[0] != _FORMAT:  # noqa: PLR2004 - format and length bytes
        raise SealBrokenError("not a sealed value")
    return sealed[2 : 2 + sealed[1]].decode(errors="replace")


def _wrapped_end(sealed: bytes) -> int:
    return 2 + len(wrapping_key(sealed).encode()) + _WRAPPED_BYTES


def parse_keys(text: str) -> dict[str, bytes]:
    """
    Parse `id:base64,id:base64`: keys of 32 bytes, newest first.

    Raises `ValueError`; its text does not show the keys.
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
    Decode a key of 32 bytes in base64. Raises `ValueError`, which names *what* it is.
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
    Derive the hash key from the only key of development.
    """
    return HKDF(SHA256(), KEY_BYTES, salt=None, info=b"shipedge webhooks hash key").derive(key)


def development_key_file(directory: Path) -> Path:
    """
    Return the file of the key of development in *directory*.
    """
    return directory / "development.key"


def development_ring(directory: Path) -> KeyRing:
    """
    Return the key ring of development, from the file `development.key` in *directory*.

    Creates the file if it is missing. Raises `PermissionError` if others may read it.
    """
    path = development_key_file(directory)
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    _create_key_file(path)
    if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise PermissionError(f"{path} must be readable by its owner alone (chmod 600)")
    key = parse_key(path.read_text().strip(), str(path))
    return KeyRing({"development": key}, derived_hash_key(key))


def _create_key_file(path: Path) -> None:
    """
    Create the key file unless it exists; two processes may try at the same time.
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
