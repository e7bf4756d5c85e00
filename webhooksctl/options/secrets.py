"""
Secrets that a command needs: from a reference, or asked for at the terminal.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from webhooksctl.settings.references import is_reference, read_bytes, resolved
from webhooksctl.words.failures import CommandError

Secret = Annotated[
    str, typer.Option("--secret", help="env:NAME or file:PATH; without it, it is asked for.")
]
Password = Annotated[
    str, typer.Option("--password", help="That of the key, env:NAME or file:PATH, if it has one.")
]


def referenced(flag: str, text: str) -> str:
    """
    Return the secret that a flag refers to; nothing without one. Raises `CommandError` for a
    secret itself: it would stay in the history of the shell.
    """
    if text and not is_reference(text):
        raise CommandError(f"{flag}: say where the secret is: env:NAME or file:PATH")
    return resolved(text, os.environ, Path())


def asked(flag: str, text: str, what: str) -> str:
    """
    Return the secret that a flag refers to; without one ask for it. Raises `CommandError`.
    """
    if text:
        return referenced(flag, text)
    try:
        return str(typer.prompt(what, hide_input=True, err=True))
    except (typer.Abort, EOFError):
        raise CommandError(f"{flag} is missing: env:NAME or file:PATH") from None


def content(path: str) -> bytes:
    """
    Return the content of a file.
    """
    return read_bytes(path, Path())
