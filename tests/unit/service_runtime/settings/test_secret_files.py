"""
Secret settings from files.
"""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from config_service.settings import Settings as ConfigSettings
from dispatch_service.settings import Settings
from service_runtime.settings.common import CommonSettings
from service_runtime.settings.reading import SettingsInvalidError, names, read_settings
from service_runtime.settings.secret_files import MOST_BYTES, secret_names

KEY = base64.b64encode(b"k" * 32).decode()
DEVELOPMENT = {"SHIPEDGE_ENVIRONMENT": "development"}
NAME = "SHIPEDGE_ENCRYPTION_KEYS_FILE"


def secret_file(folder: Path, content: bytes, mode: int = 0o600) -> str:
    """
    Write a file and return its path.
    """
    path = folder / "secret"
    path.write_bytes(content)
    path.chmod(mode)
    return str(path)


def problem(**environment: str) -> str:
    """
    Return what is wrong with an environment.
    """
    with pytest.raises(SettingsInvalidError) as raised:
        read_settings(Settings, DEVELOPMENT | environment)
    return str(raised.value)


@pytest.mark.parametrize("kind", [ConfigSettings, Settings])
def test_every_secret_has_a_file(kind: type[CommonSettings]) -> None:
    """
    Keys, and the URL of the database with its password, can be kept out of the environment.
    """
    service = "CONFIG" if kind is ConfigSettings else "DISPATCH"

    assert secret_names(kind) == [
        "SHIPEDGE_ENCRYPTION_KEYS",
        "SHIPEDGE_HASH_KEY",
        f"SHIPEDGE_{service}_DATABASE_URL",
    ]
    assert {f"{name}_FILE" for name in secret_names(kind)} <= set(names(kind))


def test_value_comes_from_the_file(tmp_path: Path) -> None:
    """
    A line break at the end belongs to the file, not to the secret.
    """
    path = secret_file(tmp_path, b"postgresql://u:hunter2@h/n\n")
    settings = read_settings(Settings, DEVELOPMENT | {"SHIPEDGE_DISPATCH_DATABASE_URL_FILE": path})

    assert settings.database() == "postgresql://u:hunter2@h/n"


@pytest.mark.parametrize(
    ("content", "mode", "says"),
    [
        (b"a:hunter2", 0o644, "that not all users can read"),
        (b"a:hunter2", 0o604, "that not all users can read"),
        (b" \n", 0o600, "that is not empty"),
        (b"\xff\xfe", 0o600, "a text in UTF-8"),
        (b"a" * (MOST_BYTES + 1), 0o600, "at most"),
    ],
)
def test_files_that_are_refused(tmp_path: Path, content: bytes, mode: int, says: str) -> None:
    """
    A file that is open to all, or that holds no secret, is named with what it must be.
    """
    message = problem(**{NAME: secret_file(tmp_path, content, mode)})

    assert message.startswith(f"{NAME} must name")
    assert says in message
    assert "hunter2" not in message


def test_file_of_a_group_is_allowed(tmp_path: Path) -> None:
    """
    An orchestrator may give secrets to a group.
    """
    path = secret_file(tmp_path, f"a:{KEY}".encode(), 0o640)
    hash_key = {"SHIPEDGE_HASH_KEY": KEY}

    assert read_settings(Settings, DEVELOPMENT | hash_key | {NAME: path}).key_ring().first == "a"


def test_file_that_is_not_there_is_one_problem(tmp_path: Path) -> None:
    """
    The value that it would have is not reported as missing too.
    """
    missing = str(tmp_path / "none")
    message = problem(**{NAME: missing, "SHIPEDGE_ENVIRONMENT": "production"})

    assert f"{NAME} must name a file that can be read (No such file or directory)" in message
    assert "SHIPEDGE_ENCRYPTION_KEYS is required" not in message
    assert f"{NAME} must name a file" in problem(**{NAME: str(tmp_path)})


def test_both_are_refused(tmp_path: Path) -> None:
    """
    Nobody has to guess which of two values is in force.
    """
    path = secret_file(tmp_path, f"a:{KEY}".encode())
    message = problem(**{NAME: path, "SHIPEDGE_ENCRYPTION_KEYS": f"a:{KEY}"})

    assert f"{NAME} must not be given together with SHIPEDGE_ENCRYPTION_KEYS" in message
