"""
Commands for grpcurl, run by buf where grpcurl is not installed:

    python -m tests.support.documented.grpcurl ARGUMENTS
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.support.project_files import ROOT

_BUF = Path(sys.executable).parent / "buf"
_RENAMED = {"-cacert": "--cacert", "-cert": "--cert", "-key": "--key", "-protoset": "--schema"}


def command() -> str:
    """
    Return the beginning of a command of the shell that does what grpcurl does.
    """
    # Go puts programs where they may not be found by their names.
    for path in (None, str(Path.home() / "go/bin")):
        if found := shutil.which("grpcurl", path=path):
            return f"exec {found}"
    return f'PYTHONPATH="{ROOT}" exec {sys.executable} -m tests.support.documented.grpcurl'


def translated(words: Sequence[str]) -> list[str]:
    """
    Translate the arguments of grpcurl into a command for buf. Raises `ValueError` for a flag that
    has none.
    """
    buf, rest = [str(_BUF), "curl", "--protocol", "grpc"], list(words)
    scheme = "https"
    while rest[0].startswith("-"):
        flag = rest.pop(0)
        if flag == "-plaintext":
            scheme = "http"
            buf.append("--http2-prior-knowledge")
        elif flag in {"-d", "-H"}:
            buf += [flag, rest.pop(0)]
        elif flag in _RENAMED:
            buf += [_RENAMED[flag], rest.pop(0)]
        else:
            raise ValueError(f"{flag} cannot be translated")
    address, method, *symbol = rest
    listed = {"list": "--list-services", "describe": "--list-methods"}
    if method in listed and len(symbol) <= 1:
        return [*buf, listed[method], f"{scheme}://{address}"]
    return [*buf, f"{scheme}://{address}/{method}"]


if __name__ == "__main__":
    translation = translated(sys.argv[1:])
    os.execv(translation[0], translation)  # noqa: S606 - a program of this environment
