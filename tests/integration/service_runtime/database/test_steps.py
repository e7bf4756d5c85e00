"""
Versions of a service on one database: what each step leaves, and who may start on it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import structlog

from service_runtime.database.engine import sqlite_file
from service_runtime.database.migrations import check_current, migrate, migrate_at_start
from service_runtime.database.revisions.phases import Step
from service_runtime.database.usable import DatabaseUnusableError

pytestmark = pytest.mark.anyio

ENVIRONMENT = """
import sqlalchemy as sa
from service_runtime.database.revisions.runs import run_environment

run_environment(sa.MetaData())
"""

REVISION = """
import sqlalchemy as sa
from alembic import op

revision = "{name}"
down_revision = {before!r}
phase = "{phase}"


def upgrade():
    {change}
"""

FIRST = """
    op.create_table(
        "schema_compatibility",
        sa.Column("schema_compatibility_id", sa.Integer),
        sa.Column("needs_revision", sa.Text),
    )
    op.execute("INSERT INTO schema_compatibility VALUES (1, '0001')")
    op.create_table("orders", sa.Column("number", sa.Integer), sa.Column("old", sa.Integer))
"""

REVISIONS = {
    "0001": ("expand", FIRST.strip()),
    "0002": ("expand", 'op.add_column("orders", sa.Column("new", sa.Integer))'),
    "0003": ("contract", 'op.drop_column("orders", "old")'),
    "0004": ("expand", 'op.add_column("orders", sa.Column("newer", sa.Integer))'),
}
VERSIONS = {"version_1": 1, "version_2": 3, "version_3": 4}
"""
The packages, and how many of the revisions each has.
"""


@pytest.fixture
def versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Make the packages of three versions of a service.
    """
    monkeypatch.syspath_prepend(str(tmp_path / "packages"))
    for package, count in VERSIONS.items():
        monkeypatch.delitem(sys.modules, package, raising=False)
        migrations = tmp_path / "packages" / package / "migrations"
        (migrations / "versions").mkdir(parents=True)
        (migrations.parent / "__init__.py").touch()
        (migrations / "env.py").write_text(ENVIRONMENT)
        before = None
        for name, (phase, change) in list(REVISIONS.items())[:count]:
            text = REVISION.format(name=name, before=before, phase=phase, change=change)
            (migrations / "versions" / f"{name}_sample.py").write_text(text)
            before = name


async def test_upgrade_in_steps(database_url: str, versions: None) -> None:
    """
    After `--expand` both versions start and pass the check, after `--contract` the new one alone;
    the next version expands only then.
    """
    assert await migrate(database_url, "version_1") == "0001"
    assert await migrate(database_url, "version_2", Step.EXPAND) == "0002"

    for version in ("version_1", "version_2"):
        assert await migrate(database_url, version, Step.EXPAND) == "0002"
        await check_current(database_url, version, Step.EXPAND)
    await check_current(database_url, "version_1")
    with pytest.raises(DatabaseUnusableError, match=r"has the revision 0002; .* needs 0003"):
        await check_current(database_url, "version_2")
    with pytest.raises(DatabaseUnusableError, match=r"0003 contracts .* and 0004 comes after it"):
        await migrate(database_url, "version_3", Step.EXPAND)

    assert await migrate(database_url, "version_2", Step.CONTRACT) == "0003"
    await check_current(database_url, "version_2")
    for refused in (migrate, check_current):
        with pytest.raises(DatabaseUnusableError, match="has the revision 0003"):
            await refused(database_url, "version_1")

    assert await migrate(database_url, "version_3", Step.EXPAND) == "0004"
    assert await migrate(database_url, "version_2") == "0004"
    with pytest.raises(DatabaseUnusableError, match="which this version does not know"):
        await migrate(database_url, "version_1")


async def test_contract_is_refused_before_expand(database_url: str, versions: None) -> None:
    """
    `--contract` does not do what `--expand` is for; nothing changes.
    """
    await migrate(database_url, "version_1")

    with pytest.raises(DatabaseUnusableError, match="0002 is to expand first"):
        await migrate(database_url, "version_2", Step.CONTRACT)

    await check_current(database_url, "version_1")
    assert await migrate(database_url, "version_2") == "0003"


async def test_start_contracts_only_where_nobody_else_is(database_url: str, versions: None) -> None:
    """
    A start on PostgreSQL, where an earlier version may be at work, takes nothing from it, and
    says so; a file has one process. The earlier version says that a newer one was here.
    """
    await migrate(database_url, "version_1")
    with structlog.testing.capture_logs() as logged:
        await migrate_at_start(database_url, "version_2")
        if sqlite_file(database_url) is None:
            await migrate_at_start(database_url, "version_1")

    found = [(it["event"], it["revision"]) for it in logged]
    if sqlite_file(database_url) is None:
        names = ("database.contract_pending", "database.newer_version")
        assert found == [(name, "0002") for name in names]
    else:
        assert found == []
        await check_current(database_url, "version_2")
