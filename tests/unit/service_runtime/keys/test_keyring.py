"""
Secrets at rest.
"""

from __future__ import annotations

import base64
import stat
from pathlib import Path

import pytest

from service_runtime.keys.keyring import (
    AssociatedData,
    DataKey,
    KeyRing,
    SealBrokenError,
    UnknownKeyError,
    development_ring,
    parse_keys,
    wrapping_key,
)

ASSOCIATED = AssociatedData("subscriptions", ("accounts/100", "sub_1"), "sealed_config")
OLD, NEW, HASH = b"o" * 32, b"n" * 32, b"h" * 32
RING = KeyRing({"old": OLD}, HASH)


def test_sealing_and_opening() -> None:
    """
    A sealed value opens with its associated data, and does not show.
    """
    sealed = RING.seal(b"secret", ASSOCIATED)

    assert RING.open(sealed, ASSOCIATED) == b"secret"
    assert b"secret" not in sealed
    assert RING.seal(b"secret", ASSOCIATED) != sealed


@pytest.mark.parametrize(
    "other",
    [
        ASSOCIATED._replace(table="callers"),
        ASSOCIATED._replace(key=("accounts/200", "sub_1")),
        ASSOCIATED._replace(key=("accounts/100", "sub_2")),
        ASSOCIATED._replace(column="url"),
    ],
)
def test_moved_value_does_not_open(other: AssociatedData) -> None:
    """
    A value is bound to its table, row and column.
    """
    with pytest.raises(SealBrokenError):
        RING.open(RING.seal(b"secret", ASSOCIATED), other)


@pytest.mark.parametrize("at", [0, 5, 20, -1])
def test_changed_value_does_not_open(at: int) -> None:
    """
    One changed bit is noticed.
    """
    sealed = bytearray(RING.seal(b"secret", ASSOCIATED))
    sealed[at] ^= 1

    with pytest.raises((SealBrokenError, UnknownKeyError)):
        RING.open(bytes(sealed), ASSOCIATED)


def test_rotation() -> None:
    """
    A new first key seals, the old one still opens; rewrapped, the old one can go.
    """
    sealed = RING.seal(b"secret", ASSOCIATED)
    both = KeyRing({"new": NEW, "old": OLD}, HASH)

    moved = both.rewrap(sealed, ASSOCIATED)

    assert both.open(sealed, ASSOCIATED) == b"secret"
    assert (wrapping_key(sealed), wrapping_key(moved)) == ("old", "new")
    only_new = KeyRing({"new": NEW}, HASH)
    assert only_new.open(moved, ASSOCIATED) == b"secret"
    with pytest.raises(UnknownKeyError, match="'old'"):
        only_new.open(sealed, ASSOCIATED)


def test_data_keys() -> None:
    """
    A wrapped data key seals many values, each bound to its associated data.
    """
    key = DataKey.generate()
    again = RING.unwrap(RING.wrap(key, ASSOCIATED), ASSOCIATED)

    sealed = key.seal(b"body", ASSOCIATED)
    assert again.open(sealed, ASSOCIATED) == b"body"
    with pytest.raises(SealBrokenError):
        again.open(sealed, ASSOCIATED._replace(column="other"))


def test_hashes_stay_when_keys_rotate() -> None:
    """
    What is found by its hash is found after a rotation too.
    """
    rotated = KeyRing({"new": NEW, "old": OLD}, HASH)

    assert rotated.keyed_hash("url", "x") == RING.keyed_hash("url", "x")
    assert RING.keyed_hash("url", "x") != RING.keyed_hash("email", "x")


def test_nothing_secret_in_the_repr() -> None:
    """
    A ring shows the ids of its keys only.
    """
    assert repr(RING) == "KeyRing(old)"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "at least one key"),
        ("nokey", "an id of 1 to 32 characters, a colon, a key"),
        ("a:AAAA", "the key 'a' must be 32 bytes in base64"),
        ("a:!!!", "the key 'a' must be 32 bytes in base64"),
    ],
)
def test_bad_keys(text: str, problem: str) -> None:
    """
    What is wrong is said without the key.
    """
    with pytest.raises(ValueError, match=problem):
        parse_keys(text)


def test_repeated_id() -> None:
    """
    Two keys of one id cannot be told apart.
    """
    key = base64.b64encode(OLD).decode()

    with pytest.raises(ValueError, match="repeats the id 'a'"):
        parse_keys(f"a:{key},a:{key}")
    assert parse_keys(f"a:{key}, b:{key}") == {"a": OLD, "b": OLD}


def test_development_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    """
    The key of development lies in a file that only its owner can read.
    """
    sealed = development_ring(tmp_path / "data").seal(b"secret", ASSOCIATED)
    path = tmp_path / "data/development.key"

    assert development_ring(tmp_path / "data").open(sealed, ASSOCIATED) == b"secret"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o644)
    with pytest.raises(PermissionError, match="chmod 600"):
        development_ring(tmp_path / "data")
