"""
The receivers that customers start from, in `examples/receivers`, as programs.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.support.project_files import ROOT
from tests.support.real_servers.processes import program, running

EXAMPLES = ROOT / "examples/receivers"
GSON = Path("/usr/share/java/gson.jar")
"""
Where Debian's package libgoogle-gson-java puts the library.
"""
SECONDS = 300

Commands = list[list[str]]


def _python(_: Path, __: int) -> Commands:
    return [[sys.executable, str(EXAMPLES / "python/receiver.py")]]


def _node(_: Path, __: int) -> Commands:
    return [[program("node"), str(EXAMPLES / "node/receiver.js")]]


def _php(_: Path, port: int) -> Commands:
    php, script = program("php"), str(EXAMPLES / "php/receiver.php")
    return [[php, "-S", f"127.0.0.1:{port}", script], [php, script]]


def _ruby(_: Path, __: int) -> Commands:
    ruby = program("ruby")
    _must_work("ruby's webrick", ruby, "-e", "require 'webrick'")
    return [[ruby, str(EXAMPLES / "ruby/receiver.rb")]]


def _go(folder: Path, _: int) -> Commands:
    built = folder / "receiver"
    if not built.exists():
        source = str(EXAMPLES / "go/receiver.go")
        _run(program("go"), "build", "-o", str(built), source)
    return [[str(built)]]


def _java(folder: Path, _: int) -> Commands:
    java, compiler = program("java"), program("javac")
    if not GSON.exists():
        pytest.skip(f"NOT RUN: {GSON} is not on this machine")
    if not (folder / "Receiver.class").exists():
        source = str(EXAMPLES / "java/Receiver.java")
        _run(compiler, "-d", str(folder), "-cp", str(GSON), source)
    return [[java, "-cp", f"{GSON}:{folder}", "Receiver"]]


def _csharp(folder: Path, _: int) -> Commands:
    mono, compiler = program("mono"), program("mcs")
    built = folder / "Receiver.exe"
    if not built.exists():
        source = str(EXAMPLES / "csharp/Receiver.cs")
        _run(compiler, "-r:System.Runtime.Serialization", f"-out:{built}", source)
    return [[mono, str(built)]]


COMMANDS: dict[str, Callable[[Path, int], Commands]] = {
    "python": _python,
    "node": _node,
    "php": _php,
    "ruby": _ruby,
    "go": _go,
    "java": _java,
    "csharp": _csharp,
}


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS)
    assert done.returncode == 0, done.stdout + done.stderr


def _must_work(name: str, *command: str) -> None:
    """
    Run a command; skip the test, and say so, if that fails.
    """
    done = subprocess.run(command, capture_output=True, check=False, timeout=SECONDS)
    if done.returncode:
        pytest.skip(f"NOT RUN: {name} is not installed on this machine")


class Printed:
    """
    What the programs of a receiver have printed.
    """

    def __init__(self, logs: list[Path]) -> None:
        self._logs = logs

    def lines(self) -> list[str]:
        """
        Return the lines of all programs, without the times that PHP writes before them.
        """
        text = "\n".join(log.read_text() for log in self._logs)
        return [line.rpartition("] ")[2] for line in text.splitlines()]

    def has(self, line: str) -> bool:
        """
        Tell whether a line was printed.
        """
        return line in self.lines()


@contextmanager
def customers_receiver(language: str, folder: Path, port: int, secret: str) -> Iterator[Printed]:
    """
    Run the receiver of a language, with its inbox in *folder*, until the block ends.
    """
    settings = {"PORT": str(port), "WEBHOOK_SECRET": secret, "INBOX": str(folder / "inbox")}
    commands = COMMANDS[language](folder, port)
    with ExitStack() as programs:
        logs = [
            programs.enter_context(running(folder, port, *command, environment=settings))
            for command in commands
        ]
        yield Printed(logs)
