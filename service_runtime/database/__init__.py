"""
SQLAlchemy engines, transactions, migrations and statements for SQLite and PostgreSQL.
"""
