"""
PostgreSQL servers of our own that are copies of another one: of its files at some moment, or one
that follows it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from subprocess import CalledProcessError
from tempfile import TemporaryDirectory

from tests.support.databases import Postgres, free_port


class Cluster(Postgres):
    """
    A server that keeps what it has confirmed; made anew, or to become a copy of *source*.
    """

    def __init__(self, directory: Path, source: Cluster | None = None) -> None:
        if source is None:
            super().__init__(directory, durable=True)
            return
        self._directory = directory
        self._durable = True
        self._environment = source._environment
        self._account = source._account
        self._binaries = source._binaries
        self.port = free_port()

    @property
    def folder(self) -> Path:
        """
        Return the folder that the server may write to.
        """
        return self._directory

    def configure(self, settings: str) -> None:
        """
        Add lines to `postgresql.conf`; they hold from the next start on.
        """
        with (self._place() / "postgresql.conf").open("a") as file:
            file.write(f"\n{settings}\n")

    def copy_from(self, source: Cluster, command: str) -> None:
        """
        Take a base backup of a running server with *command*, `pg_basebackup` and its options.
        """
        name, *options = command.split()
        program = shutil.which(self._binaries / name) or shutil.which(name) or name
        where = ["-h", "127.0.0.1", "-p", str(source.port), "-U", "postgres"]
        self._run(program, *options, *where, "-D", str(self._place()))

    def recover(self) -> None:
        """
        Let the next start recover to the moment that the settings name.
        """
        signal = self._place() / "recovery.signal"
        signal.touch()
        if self._account is not None:
            os.chown(signal, self._account.pw_uid, self._account.pw_gid)

    def promote(self) -> None:
        """
        Make a standby the primary.
        """
        self._control("promote", "-w")

    def has(self, program: str) -> bool:
        """
        Tell whether a program of PostgreSQL is installed.
        """
        return bool(shutil.which(self._binaries / program) or shutil.which(program))


@contextmanager
def cluster(source: Cluster | None = None) -> Iterator[Cluster]:
    """
    Make a server, which is still to be started; stop it at the end.
    """
    with TemporaryDirectory(prefix="webhooks-cluster-") as directory:
        made = Cluster(Path(directory), source)
        try:
            yield made
        finally:
            with suppress(CalledProcessError):
                made.stop("immediate")
