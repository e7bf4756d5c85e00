"""
One PostgreSQL server for all processes of a run of the tests.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from tests.support.databases import Postgres, memory_folder

_STOP_SECONDS = 30


class SharedServer:
    """
    A server that the first process starts that asks for it, and that the process which
    made *directory* stops. The server that `TEST_DATABASE_URL` names takes its place.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @classmethod
    def prepare(cls) -> SharedServer:
        """
        Make the directory that the processes share.
        """
        directory = Path(tempfile.mkdtemp(prefix="webhooks-tests-", dir=memory_folder()))
        # The account that PostgreSQL runs as has to come through.
        directory.chmod(0o711)
        return cls(directory)

    def url(self) -> str:
        """
        Return the URL of the running server.
        """
        given = os.environ.get("TEST_DATABASE_URL")
        if given:
            return given
        with (self.directory / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            known = self.directory / "url"
            if not known.exists():
                known.write_text(self._start())
            return known.read_text()

    def _start(self) -> str:
        place = self.directory / "server"
        place.mkdir(exist_ok=True)
        server = Postgres(place)
        server.start()
        (self.directory / "pid").write_text(str(server.pid))
        return server.url

    def remove(self) -> None:
        """
        Stop the server, if it was started, and remove what it stored.
        """
        known = self.directory / "pid"
        if known.exists():
            _end(int(known.read_text()))
        shutil.rmtree(self.directory, ignore_errors=True)


def _end(pid: int) -> None:
    """
    Stop a PostgreSQL server at once and wait until it is gone.
    """
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGQUIT)
        patient = time.monotonic() + _STOP_SECONDS
        while time.monotonic() < patient:
            os.kill(pid, 0)
            time.sleep(0.02)
