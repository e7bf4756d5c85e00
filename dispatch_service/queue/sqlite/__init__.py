"""
The queue on SQLite. Instants are integer microseconds.
"""

from dispatch_service.queue.sqlite.queue import SqliteQueue

__all__ = ["SqliteQueue"]
