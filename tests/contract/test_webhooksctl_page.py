"""
The page of webhooksctl has all of its commands and settings.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer.main import get_command

from webhooksctl.app import app
from webhooksctl.settings.profiles import FIELDS, PREFIX

PAGE = (Path(__file__).parent.parent.parent / "docs/webhooksctl.md").read_text()


def commands(command: Any, path: str) -> Iterator[str]:
    """
    Yield all commands as they are typed.
    """
    if not hasattr(command, "commands"):
        yield path
        return
    for name, each in command.commands.items():
        yield from commands(each, f"{path} {name}")


def test_every_command_is_described() -> None:
    """
    And nothing that does not exist.
    """
    described = re.findall(r"^\| `(webhooksctl [a-z -]+)`", PAGE, re.MULTILINE)

    assert sorted(described) == sorted(commands(get_command(app), "webhooksctl"))


def test_every_setting_is_described() -> None:
    """
    By its environment variable, and in profiles.
    """
    for field in FIELDS:
        assert f"`{PREFIX}{field.upper()}`" in PAGE
        assert field == "token" or f"`{field}`" in PAGE


def test_every_command_has_a_sentence_of_help() -> None:
    """
    Help is the first thing that is read.
    """
    described = get_command(app)
    for path in commands(described, "webhooksctl"):
        found: Any = described
        for name in path.split()[1:]:
            found = found.commands[name]
        assert found.help, path
