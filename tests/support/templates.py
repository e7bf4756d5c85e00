"""
Migrated databases, each made once in a process and copied for each test: a
migration takes some 100 ms, a copy some 5 ms.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

import pytest
from sqlalchemy.engine import make_url

from service_runtime.database.migrations import migrate
from tests.support.databases import fresh_database, run_sql

# Where the services keep their databases in a data directory.
_FILES = {"config_service": "config.db", "dispatch_service": "dispatch.db"}


@cache
def migrated_file(package: str) -> bytes:
    """
    Return the content of a migrated SQLite file of *package*'s service.
    """
    with TemporaryDirectory(prefix="webhooks-template-") as directory:
        path = Path(directory) / "template.db"
        # In a thread of its own, because the caller's may run an event loop.
        with ThreadPoolExecutor(1) as thread:
            thread.submit(asyncio.run, migrate(f"sqlite:///{path}", package)).result()
        return path.read_bytes()


def fill_data_directory(data: Path) -> None:
    """
    Put migrated databases of both services where they would make their own.
    """
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    for package, name in _FILES.items():
        if not (data / name).exists():
            (data / name).write_bytes(migrated_file(package))


class PostgresTemplates:
    """
    Migrated databases on a server, made when first asked for and dropped at the end.
    *server* starts the server and returns its URL.
    """

    def __init__(self, server: Callable[[], str]) -> None:
        self._server = server
        self._made: dict[str, str] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    @contextmanager
    def copy(self, package: str) -> Iterator[str]:
        """
        Make a migrated database of *package*'s service; drop it at the end.
        """
        if package not in self._made:
            self._made[package] = self._make(package)
        with fresh_database(self._server(), self._made[package]) as url:
            yield url

    def _make(self, package: str) -> str:
        url = self._stack.enter_context(fresh_database(self._server()))
        asyncio.run(migrate(url, package))
        name = str(make_url(url).database)
        # A database that somebody is connected to, such as autovacuum, cannot be copied.
        run_sql(self._server(), f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        return name


@contextmanager
def migrated_database(
    request: pytest.FixtureRequest, directory: Path, package: str, name: str = "test"
) -> Iterator[str]:
    """
    Make a migrated database of *package*'s service, of the kind that the fixture's
    parameter names: a SQLite file *name* in *directory*, or one on the PostgreSQL server.
    """
    if request.param == "sqlite":
        path = directory / f"{name}.db"
        path.write_bytes(migrated_file(package))
        yield f"sqlite:///{path}"
        return
    templates: PostgresTemplates = request.getfixturevalue("postgres_templates")
    with templates.copy(package) as url:
        yield url
