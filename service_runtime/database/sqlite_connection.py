"""
The connections to a SQLite file: closed means that they hold nothing any more.
"""

from __future__ import annotations

import sqlite3
from typing import Any
from weakref import WeakSet


class SqliteConnection(sqlite3.Connection):
    """
    A connection that gives up its transaction and its view of the file when it is closed.

    SQLite keeps a closed connection open, with its locks, while a statement has rows left to
    read. A cancelled task leaves such statements, and its traceback may refer to them for long:
    until those are collected, nobody could write.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._cursors: WeakSet[sqlite3.Cursor] = WeakSet()

    def cursor(self, factory: Any = sqlite3.Cursor) -> Any:
        """
        Make a cursor, which is closed with the connection.
        """
        made = super().cursor(factory)
        self._cursors.add(made)
        return made

    def close(self) -> None:
        """
        End all statements and close the connection; what was not committed is rolled back.
        """
        for cursor in list(self._cursors):
            cursor.close()
        # The driver may close a connection twice.
        self._cursors.clear()
        super().close()
