"""
What others on the machine can read of a service.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from service_runtime.keys.hardening import make_private
from tests.support import preloaded

PROGRAM = """
import ctypes, os, resource
from pathlib import Path
from service_runtime.keys.hardening import keep_secrets
keep_secrets(production={production}, database=None)
print(oct(os.umask(0)), resource.getrlimit(resource.RLIMIT_CORE)[0], ctypes.CDLL(None).prctl(3))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("production", "shown"), [(True, ["0o77", "0", "0"]), (False, ["0o77", "1024", "1"])]
)
def test_no_image_of_the_memory_is_left(production: bool, shown: list[str]) -> None:
    """
    In production there is no core file, and the process cannot be dumped or traced; files are
    private in both environments.
    """
    program = f"import resource; resource.setrlimit(resource.RLIMIT_CORE, (1024, 1024)){PROGRAM}"
    answer = subprocess.run(
        [sys.executable, "-c", program.format(production=production)],
        capture_output=True,
        text=True,
        check=True,
    )

    assert answer.stdout.split() == shown


@pytest.mark.slow
@pytest.mark.parametrize(
    ("package", "name"), [("config_service", "config"), ("dispatch_service", "dispatch")]
)
def test_files_are_private_in_a_shared_folder(tmp_path: Path, package: str, name: str) -> None:
    """
    Whatever the folder allows, only the account of the service reads the files; a file of an
    earlier version becomes private.
    """
    tmp_path.chmod(0o755)
    (tmp_path / f"{name}.db").touch(mode=0o644)
    environment = {
        **os.environ,
        "SHIPEDGE_ENVIRONMENT": "development",
        "SHIPEDGE_DATA_DIR": str(tmp_path),
    }
    code, said = preloaded.run(package, environment, "migrate")
    assert code == 0

    modes = {path.name: oct(path.stat().st_mode & 0o777) for path in tmp_path.iterdir()}
    assert {f"{name}.db", f"{name}.migration-lock"} <= set(modes)
    assert set(modes.values()) == {"0o600"}
    assert "database.folder_shared" in said


def test_files_beside_the_database_are_private_too(tmp_path: Path) -> None:
    """
    What SQLite keeps beside a database holds the same values.
    """
    tmp_path.chmod(0o700)
    names = {"x.db", "x.db-wal", "x.db-shm", "x.lock", "x.migration-lock"}
    for each in names:
        (tmp_path / each).touch(mode=0o644)
    with capture_logs() as logs:
        make_private(tmp_path / "x.db")

    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
    assert logs == []
