"""
Secrets that are not written down where they are used: `env:NAME` and `file:PATH`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


class ReferenceInvalidError(Exception):
    """
    What a reference names is not there. The message says what.
    """


def is_reference(text: str) -> bool:
    """
    Tell whether a text names where a secret is, and is not the secret itself.
    """
    return text.startswith(("env:", "file:"))


def resolved(text: str, environment: Mapping[str, str], folder: Path) -> str:
    """
    Return what `env:NAME` or `file:PATH` names, and any other text as it is. Paths are relative to
    *folder*; the line end at the end of a file is no part of a secret.

    Raises `ReferenceInvalidError`.
    """
    kind, _, what = text.partition(":")
    if kind == "env":
        if what not in environment:
            raise ReferenceInvalidError(f"{text}: the environment has no {what}")
        return environment[what]
    if kind == "file":
        return read_bytes(text, folder).decode().rstrip("\r\n")
    return text


def read_bytes(text: str, folder: Path) -> bytes:
    """
    Return the content of the file that `file:PATH` or `PATH` names. Raises `ReferenceInvalidError`.
    """
    try:
        return (folder / Path(text.removeprefix("file:")).expanduser()).read_bytes()
    except OSError as refused:
        raise ReferenceInvalidError(f"{text}: {refused.strerror}") from refused
