"""
Programs of real servers, run on free loopback ports until a block ends.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

PATIENCE_SECONDS = 60.0
SECONDS_TO_END = 20.0
_PLACES = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"])


def program(*names: str) -> str:
    """
    Return the path of the first of *names* that is installed; skip the test, and say so, if none
    is.
    """
    for name in names:
        if found := shutil.which(name, path=_PLACES):
            return found
    pytest.skip(f"NOT RUN: {names[0]} is not installed on this machine")


@contextmanager
def running(
    folder: Path, port: int, *command: str, environment: Mapping[str, str] | None = None
) -> Iterator[Path]:
    """
    Run a server that listens on *port* until the block ends; yield the file of its messages.

    It ends with all processes that it started: they are a group of their own. Raises
    `AssertionError` with its messages if it does not start.
    """
    log = folder / f"{Path(command[0]).name}-{port}.log"
    with log.open("ab") as output:
        child = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait_until_it_listens(child, port, log)
        yield log
    finally:
        _end(child)


def _wait_until_it_listens(child: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while not listens(port):
        assert child.poll() is None, log.read_text()
        assert time.monotonic() < until, log.read_text()
        time.sleep(0.02)


def listens(port: int) -> bool:
    """
    Tell whether something listens on a loopback port.
    """
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


def _end(child: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        if child.poll() is None:
            os.killpg(child.pid, number)
        try:
            child.wait(SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            continue
        return
