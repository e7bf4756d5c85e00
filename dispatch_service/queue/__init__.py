"""
The delivery table as a queue, on SQLite and PostgreSQL.
"""
