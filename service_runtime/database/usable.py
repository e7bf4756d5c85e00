"""
Whether a service can start on its database, and the sentence that says why not.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from sqlalchemy.engine import make_url

from service_runtime.database.faults import StoreFault, is_damaged, store_fault
from service_runtime.observability.traces import database_problem


class DatabaseUnusableError(Exception):
    """
    A service cannot start on its database. The message is one sentence, with the name of the
    database and what to do.
    """


def place_of(url: str) -> str:
    """
    Return the file of a SQLite database, or host and name of one on PostgreSQL.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return str(parsed.database)
    return f"the database {parsed.database} on {parsed.host}:{parsed.port or 5432}"


@contextmanager
def usable(url: str) -> Iterator[None]:
    """
    Raise `DatabaseUnusableError` where the block finds that the database at *url* is damaged, or
    does not answer.
    """
    try:
        yield
    except Exception as error:
        said = database_problem(error) or str(error) or type(error).__name__
        if is_damaged(error):
            text = f"{place_of(url)} is damaged; keep a copy of it and restore a backup: {said}"
            raise DatabaseUnusableError(text) from error
        if store_fault(error) is StoreFault.UNAVAILABLE:
            text = f"{place_of(url)} does not answer or cannot be used: {said}"
            raise DatabaseUnusableError(text) from error
        raise


def read_each_table(connection: sa.Connection) -> None:
    """
    Read a row of each table of a SQLite file, which finds a damaged first page before anybody
    relies on it. `PRAGMA integrity_check` finds more, but reads the whole file.
    """
    names = sa.text("SELECT name FROM sqlite_master WHERE type = 'table'")
    quote = connection.dialect.identifier_preparer.quote
    for name in connection.execute(names).scalars().all():
        # Each statement is executed once, so it is not worth being compiled.
        connection.exec_driver_sql(f"SELECT * FROM {quote(name)} LIMIT 1")  # noqa: S608 - our tables
