"""
Databases on which a service does not start: one sentence, and exit code 1.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.support import preloaded
from tests.support.databases import free_port
from tests.support.templates import fill_data_directory

PACKAGES = {"config_service": "config.db", "dispatch_service": "dispatch.db"}


def start(package: str, data: Path, **more: str) -> tuple[int, str]:
    """
    Start a service on *data*; return its exit code and what it says that is no log line.
    """
    settings = {
        "SHIPEDGE_DATA_DIR": str(data),
        "SHIPEDGE_ENVIRONMENT": "development",
        "SHIPEDGE_LOG_FORMAT": "json",
        "SHIPEDGE_CONFIG_LISTEN": f"127.0.0.1:{free_port()}",
        "SHIPEDGE_DISPATCH_LISTEN": f"127.0.0.1:{free_port()}",
        **more,
    }
    inherited = {name: it for name, it in os.environ.items() if not name.startswith("SHIPEDGE_")}
    code, said = preloaded.run(package, {**inherited, **settings})
    lines = [line for line in said.splitlines() if not line.startswith("{")]
    return code, "\n".join(lines)


def changed(path: Path, statement: str, *values: object) -> None:
    """
    Run a statement on a SQLite file.
    """
    with closing(sqlite3.connect(path)) as db:
        db.execute(statement, values)
        db.commit()


def damage_table(path: Path, table: str) -> None:
    """
    Overwrite the first page of a table.
    """
    with closing(sqlite3.connect(path)) as db:
        (page,) = db.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = ?", [table]
        ).fetchone()
        (size,) = db.execute("PRAGMA page_size").fetchone()
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)


@pytest.mark.slow
def test_damaged_files(tmp_path: Path) -> None:
    """
    The sentence names the file: one that is no database, and one with a damaged table.
    """
    fill_data_directory(tmp_path)
    (tmp_path / "config.db").write_bytes(b"no database at all" * 1000)
    damage_table(tmp_path / "dispatch.db", "bodies")

    for package, name in PACKAGES.items():
        code, said = start(package, tmp_path)
        assert (code, len(said.splitlines())) == (1, 1), said
        assert f"{package}: {tmp_path / name} is damaged" in said


@pytest.mark.slow
def test_newer_schema(tmp_path: Path) -> None:
    """
    Code that is older than the database says so.
    """
    fill_data_directory(tmp_path)
    changed(tmp_path / "config.db", "UPDATE alembic_version SET version_num = '9999'")
    changed(tmp_path / "config.db", "UPDATE schema_compatibility SET needs_revision = '9999'")

    code, said = start("config_service", tmp_path)

    assert (code, len(said.splitlines())) == (1, 1), said
    assert "has the revision 9999, which this version does not know" in said


@pytest.mark.slow
def test_database_that_does_not_answer(tmp_path: Path) -> None:
    """
    The sentence names host and database, not the password.
    """
    url = f"postgresql://name:secret@127.0.0.1:{free_port()}/orders"

    code, said = start("config_service", tmp_path, SHIPEDGE_CONFIG_DATABASE_URL=url)

    assert (code, len(said.splitlines())) == (1, 1), said
    assert "the database orders on 127.0.0.1:" in said
    assert "secret" not in said


@pytest.mark.slow
def test_key_that_was_lost(tmp_path: Path) -> None:
    """
    No new key is made beside sealed values, and one that was made anew is told from the old one.
    """
    fill_data_directory(tmp_path)
    sealed = b"\x01\x0bdevelopment" + bytes(100)
    statement = "INSERT INTO day_keys (day, wrapped_key, create_time) VALUES (1, ?, 0)"
    changed(tmp_path / "dispatch.db", statement, sealed)

    code, said = start("dispatch_service", tmp_path)
    assert (code, len(said.splitlines())) == (1, 1), said
    assert f"{tmp_path / 'development.key'} is missing" in said
    assert not (tmp_path / "development.key").exists()

    code, said = start(
        "dispatch_service",
        tmp_path,
        SHIPEDGE_ENCRYPTION_KEYS="development:" + "A" * 43 + "=",
        SHIPEDGE_HASH_KEY="A" * 43 + "=",
    )
    assert (code, len(said.splitlines())) == (1, 1), said
    assert "values in day_keys that its key does not open" in said
