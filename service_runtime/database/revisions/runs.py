"""
The revisions of the services' databases, with Alembic.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources

import sqlalchemy as sa
from alembic import command, context
from alembic.config import Config
from alembic.script import ScriptDirectory

from service_runtime.database.revisions.compatibility import raise_needs
from service_runtime.database.revisions.phases import Revision, Step, needed_by_all, to_run


def config_of(package: str) -> Config:
    """
    Return the configuration of Alembic for the revisions of *package*.
    """
    config = Config()
    config.set_main_option("script_location", str(resources.files(package) / "migrations"))
    return config


def chain_of(package: str) -> Sequence[Revision]:
    """
    Return the revisions of *package* with their phases, the oldest first.
    """
    scripts = ScriptDirectory.from_config(config_of(package))
    found = [
        Revision(it.revision, getattr(it.module, "phase", "")) for it in scripts.walk_revisions()
    ]
    return found[::-1]


def lacking(chain: Sequence[Revision], current: str | None) -> Sequence[Revision]:
    """
    Return the revisions of *chain* that come after the *current* one; all if there is none.
    """
    names = [it.name for it in chain]
    return chain if current is None else chain[names.index(current) + 1 :]


def upgrade(connection: sa.Connection, package: str, current: str | None, step: Step) -> None:
    """
    Run the revisions of *package* that *step* asks for, after the *current* one. Raises
    `OutOfOrderError` if this is not the time for it.
    """
    chain = chain_of(package)
    chosen = to_run(lacking(chain, current), step, empty=current is None)
    if not chosen:
        return
    config = config_of(package)
    config.attributes["connection"] = connection
    newest = chosen[-1].name
    command.upgrade(config, newest)
    if needed := needed_by_all(chosen):
        raise_needs(connection, needed)


def run_environment(metadata: sa.MetaData) -> None:
    """
    Run the migrations; `migrations/env.py` of each service calls this.
    """
    connection: sa.Connection | None = context.config.attributes.get("connection")
    if connection is None:
        raise RuntimeError("migrations run through service_runtime.database.migrations.migrate")
    context.configure(
        connection=connection,
        target_metadata=metadata,
        render_as_batch=connection.dialect.name == "sqlite",
        transaction_per_migration=False,
    )
    with context.begin_transaction():
        context.run_migrations()
