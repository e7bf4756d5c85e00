"""
What a service does at start so that others on the machine cannot read its secrets.
"""

from __future__ import annotations

import ctypes
import os
import resource
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import structlog

ONLY_OURS = 0o077
"""
The umask of a service: whatever it writes, only its own account can read.
"""

_PR_SET_DUMPABLE = 4
_OF_A_DATABASE = ("", "-wal", "-shm", "-journal")

log = structlog.get_logger()


def keep_secrets(*, production: bool, database: Path | None) -> None:
    """
    Make files private; in production also leave no image of the memory.

    *database* is the SQLite file, if there is one. Files of it that exist become private too.
    """
    os.umask(ONLY_OURS)
    if production:
        leave_no_image()
    if database is not None:
        make_private(database)


def leave_no_image() -> None:
    """
    Write no core file, and let no other process of the account read the memory and environment.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def make_private(database: Path) -> None:
    """
    Let only the owner read the files of a SQLite database; warn of a folder that others can read.
    """
    for path in _files(database):
        if path.stat().st_mode & ONLY_OURS:
            path.chmod(stat.S_IRUSR | stat.S_IWUSR)
    folder = database.parent
    if folder.exists() and folder.stat().st_mode & ONLY_OURS:
        log.warning(
            "database.folder_shared", store=str(folder), problem="chmod 700 makes it private"
        )


def _files(database: Path) -> Iterator[Path]:
    names = [database.name + ending for ending in _OF_A_DATABASE]
    names += [database.with_suffix(ending).name for ending in (".lock", ".migration-lock")]
    for name in names:
        path = database.with_name(name)
        if path.is_file():
            yield path
