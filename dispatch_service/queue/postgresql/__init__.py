"""
The queue on PostgreSQL.
"""

from dispatch_service.queue.postgresql.queue import PostgresQueue

__all__ = ["PostgresQueue"]
