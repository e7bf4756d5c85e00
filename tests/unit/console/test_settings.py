"""
The settings of the console, sealed cookies, and where a sign-in leads.
"""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path

import pytest

from console.settings import DEFAULTS, SettingsInvalidError, read_settings
from console.web.sealing import Sealer
from console.web.sessions import safe_path

DEVELOPMENT = {"SHIPEDGE_ENVIRONMENT": "development"}


def production(directory: Path, key: bytes = b"k" * 32) -> dict[str, str]:
    """
    Return settings of production whose files exist.
    """
    files = [name for name in DEFAULTS if name.endswith("_FILE")]
    for name in files:
        (directory / name).write_bytes(b64encode(key))
    return {
        **{name: str(directory / name) for name in files},
        "SHIPEDGE_CONSOLE_HOSTS": "console.example, other.example",
        "SHIPEDGE_CONSOLE_LISTEN": "0.0.0.0:443",
    }


def test_what_production_needs(tmp_path: Path) -> None:
    """
    In production the console listens anywhere, over TLS and under names of its own.
    """
    settings = read_settings(production(tmp_path))

    assert settings.production
    assert settings.names() == ["console.example", "other.example"]
    assert settings.ca_file.endswith("SHIPEDGE_TLS_CA_FILE")


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"SHIPEDGE_CONSOLE_HOSTS": ""}, "SHIPEDGE_CONSOLE_HOSTS is needed"),
        ({"SHIPEDGE_CONSOLE_HOSTS": "*"}, "must be names of hosts"),
        ({"SHIPEDGE_TLS_CA_FILE": ""}, "SHIPEDGE_TLS_CA_FILE is needed"),
        ({"SHIPEDGE_CONSOLE_CERTIFICATE_FILE": "/none"}, "must name a file"),
        ({"SHIPEDGE_CONSOLE_TLS_KEY_FILE": ""}, "SHIPEDGE_CONSOLE_TLS_KEY_FILE is needed"),
        ({"SHIPEDGE_CONSOLE_LISTEN": "nowhere"}, "must be host:port"),
        ({"SHIPEDGE_CONSOLE_COLOUR": "red"}, "is not a setting"),
    ],
)
def test_invalid_production(tmp_path: Path, changes: dict[str, str], problem: str) -> None:
    """
    Each fault is named with its setting.
    """
    with pytest.raises(SettingsInvalidError, match=problem):
        read_settings(production(tmp_path) | changes)


def test_a_short_key_is_refused(tmp_path: Path) -> None:
    """
    The key that seals sessions has 32 bytes.
    """
    with pytest.raises(SettingsInvalidError, match="32 random bytes"):
        read_settings(production(tmp_path, b"short"))


@pytest.mark.parametrize(
    "changes",
    [
        {"SHIPEDGE_CONSOLE_LISTEN": "0.0.0.0:80"},
        {"SHIPEDGE_CONSOLE_HOSTS": "console.example"},
    ],
)
def test_development_stays_on_loopback(changes: dict[str, str]) -> None:
    """
    Where nobody signs in, nobody else can reach the console.
    """
    assert not read_settings(DEVELOPMENT).production
    with pytest.raises(SettingsInvalidError, match=next(iter(changes))):
        read_settings(DEVELOPMENT | changes)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/accounts/1/logs?status=failure", "/accounts/1/logs?status=failure"),
        ("//evil.example/", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example/", "/"),
        ("javascript:alert(1)", "/"),
        ("", "/"),
    ],
)
def test_a_sign_in_leads_to_the_console_only(target: str, expected: str) -> None:
    """
    A link to the sign-in page cannot lead elsewhere.
    """
    assert safe_path(target) == expected


def test_what_is_sealed_is_read_in_its_place_only() -> None:
    """
    A sealed value is read under its key, in its place and in its time, and nothing else is.
    """
    sealer, other = Sealer(b"a" * 32), Sealer(b"b" * 32)
    sealed = sealer.seal("secret", "here")

    assert "secret" not in sealed
    assert sealer.unseal(sealed, "here", 60) == "secret"
    assert sealer.unseal(sealed, "there", 60) is None
    assert sealer.unseal(sealed, "here", -1) is None
    assert other.unseal(sealed, "here", 60) is None
    for nothing in ("", "x", "ä", sealed[:-8], "A" * 64):
        assert sealer.unseal(nothing, "here", 60) is None
