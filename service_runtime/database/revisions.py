"""
The revisions of the services' databases, with Alembic.
"""

from __future__ import annotations

from importlib import resources

import sqlalchemy as sa
from alembic import command, context
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from service_runtime.database.usable import DatabaseUnusableError, place_of


def config_of(package: str) -> Config:
    """
    Return the configuration of Alembic for the revisions of *package*.
    """
    config = Config()
    config.set_main_option("script_location", str(resources.files(package) / "migrations"))
    return config


def upgrade(connection: sa.Connection, package: str, url: str) -> None:
    """
    Bring the database at *url* to the newest revision of *package*. Raises
    `DatabaseUnusableError` for one that was migrated by a newer version.
    """
    config = config_of(package)
    _check_known(connection, config, url)
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _check_known(connection: sa.Connection, config: Config, url: str) -> None:
    known = {it.revision for it in ScriptDirectory.from_config(config).walk_revisions()}
    current = set(MigrationContext.configure(connection).get_current_heads())
    if newer := ", ".join(sorted(current - known)):
        raise DatabaseUnusableError(
            f"{place_of(url)} has the revision {newer}, which this version does not know: a newer"
            " version has migrated it. Start that version, or restore a backup of before"
        )


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
