"""
Run the compilers of other languages.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import pytest

from tests.support.project_files import ROOT

EXAMPLES = ROOT / "clients"
LOCKS = ROOT / "tests/clients"
BUILD = ROOT / "build/clients"
SECONDS = 900
"""
The longest that one program may take.
"""


@dataclass(frozen=True, slots=True)
class Services:
    """
    A running pair, and a receiver, as the *settings* of an example program.
    """

    settings: dict[str, str]

    async def run(self, *command: str | Path, folder: Path) -> str:
        """
        Run an example program in *folder*; return what it printed.
        """
        # In a thread, so that the receiver goes on.
        return await asyncio.to_thread(run, *command, folder=folder, settings=self.settings)


def need(*programs: str) -> None:
    """
    Skip the test, and say so, where one of *programs* is missing.
    """
    if missing := [name for name in programs if shutil.which(name) is None]:
        pytest.skip(f"NOT RUN, THE CLIENT WAS NOT COMPILED: no {', '.join(missing)} here")


def run(
    *command: str | Path, folder: Path, settings: Mapping[str, str] = MappingProxyType({})
) -> str:
    """
    Run a program in *folder*; return what it printed. *settings* are added to the environment.
    Raises `AssertionError` with its messages.
    """
    done = subprocess.run(
        [shutil.which(str(command[0])) or command[0], *command[1:]],
        cwd=folder,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def download(*command: str | Path, folder: Path) -> None:
    """
    Run a program that downloads libraries; skip the test, and say so, where it cannot.
    """
    try:
        run(*command, folder=folder)
    except (AssertionError, subprocess.TimeoutExpired) as error:
        last = str(error).strip().splitlines()[-1]
        pytest.skip(
            f"NOT RUN, THE CLIENT WAS NOT COMPILED: {command[0]} could not download: {last}"
        )


def workshop(name: str) -> Path:
    """
    Return a folder in `build/` with the lock files of a language. What was downloaded or compiled
    there before is still in it.
    """
    folder = BUILD / name
    shutil.copytree(LOCKS / name, folder, dirs_exist_ok=True)
    return folder
