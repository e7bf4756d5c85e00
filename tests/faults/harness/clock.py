"""
A wall clock that a scenario moves, for the processes that are started with its environment.
"""

from __future__ import annotations

import atexit
import shutil
import struct
import subprocess
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

SOURCE = Path(__file__).with_name("clock_shim.c")


class Clock:
    """
    The offset of a wall clock, in a *file* that the processes read at each look at it.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self.move(0)
        # PostgreSQL runs under an account of its own.
        file.chmod(0o644)

    def move(self, seconds: int) -> None:
        """
        Let the clock be so many seconds ahead of the true time, or behind it.
        """
        # Written in place: the processes have mapped the file.
        with self._file.open("r+b" if self._file.exists() else "wb") as file:
            file.write(struct.pack("q", seconds))

    @property
    def environment(self) -> dict[str, str]:
        """
        Return what a process is started with whose clock is moved.
        """
        return {"LD_PRELOAD": str(library()), "FAULTS_CLOCK_FILE": str(self._file)}


@cache
def library() -> Path:
    """
    Compile the shim. Raises `FileNotFoundError` where there is no C compiler.
    """
    compiler = shutil.which("cc")
    if compiler is None:
        raise FileNotFoundError("moving a clock needs a C compiler, cc")
    # Outside of the tree, because PostgreSQL's account may not look into it.
    target = Path(mkdtemp(prefix="webhooks-clock-")) / "shim.so"
    target.parent.chmod(0o755)
    atexit.register(shutil.rmtree, target.parent)
    command = [compiler, "-O2", "-shared", "-fPIC", "-o", str(target), str(SOURCE), "-ldl"]
    subprocess.run(command, check=True)
    return target
