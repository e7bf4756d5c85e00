"""
Revisions of the databases: which of them other versions of a service work with, and Alembic,
which runs them.
"""
