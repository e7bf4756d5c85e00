"""
Node packages that tests use, installed once on a machine, whichever test process asks first.
"""

from __future__ import annotations

import fcntl
import shutil
import subprocess
from pathlib import Path

import pytest

SAMPLES = Path(__file__).parents[1] / "e2e" / "sample_receivers"
BUILD = Path(__file__).parents[2] / "build" / "sample_receivers"


def program(name: str) -> str:
    """
    Return the path of a program; skip the test, with a reason, if it is not installed.
    """
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"SAMPLE RECEIVER NOT RUN: {name} is not installed on this machine")
    return found


def installed(source: Path, folder: Path) -> bool:
    """
    Install the packages of ``source``/package.json into ``folder``; return whether they are there.

    The processes of a parallel run take turns, and the mark is written last, so nobody takes a
    folder that another is still filling for a whole one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    wanted = (source / "package.json").read_bytes()
    mark = folder / "installed.json"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if mark.exists() and mark.read_bytes() == wanted:
            return True
        mark.unlink(missing_ok=True)
        shutil.copy(source / "package.json", folder)
        if not _install(folder):
            return False
        mark.write_bytes(wanted)
    return True


def _install(folder: Path) -> bool:
    arguments = ["install", "--no-package-lock", "--no-audit", "--no-fund", "--silent"]
    command = [program("npm"), *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode == 0


@pytest.fixture(scope="session")
def modules() -> Path:
    """
    Install the packages of the sample receivers; skip the tests, with a reason, if that fails.
    """
    if not installed(SAMPLES, BUILD):
        pytest.skip("SAMPLE RECEIVER NOT RUN: npm could not install packages")
    return BUILD / "node_modules"
