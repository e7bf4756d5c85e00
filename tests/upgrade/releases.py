"""
The two releases that a test of upgrades runs side by side, each as a tree of files.

The previous one is the commit or tag that `PREVIOUS` names, else the newest tag `v…`. Without
either it is the present tree, and the next one is a copy of it that has two more revisions in each
service: one that expands and one that contracts.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from service_runtime.database.migrations import newest_revision
from tests.support.project_files import ROOT

CONFIG, DISPATCH = "config_service", "dispatch_service"
_PACKAGES = (CONFIG, DISPATCH, "service_runtime", "proto")
_TABLES = {CONFIG: "subscriptions", DISPATCH: "deliveries"}
_COMMAND_SECONDS = 120

_SAMPLES = {
    ("9001", "expand"): 'op.add_column("{table}", sa.Column("next_release", sa.Text))',
    ("9002", "contract"): 'op.drop_column("{table}", "next_release")',
}
_SAMPLE = '''"""
A sample.
"""

import sqlalchemy as sa
from alembic import op

revision = "{name}"
down_revision = "{before}"
phase = "{phase}"


def upgrade():
    {change}
'''


@dataclass(frozen=True, slots=True)
class Release:
    """
    The files of a release. *contracts* tells whether it has a revision that contracts.
    """

    name: str
    tree: Path
    contracts: bool = False

    def environment(self, settings: Mapping[str, str]) -> dict[str, str]:
        """
        Return *settings* with the modules of this release before those that are installed.
        """
        return {**settings, "PYTHONPATH": f"{self.tree}:{self.tree / 'proto/python'}"}

    def command(self, package: str, *arguments: str) -> list[str]:
        """
        Return a command of a service.
        """
        return [sys.executable, "-m", package, *arguments]

    def run(self, settings: Mapping[str, str], package: str, *arguments: str) -> tuple[int, str]:
        """
        Run a command of a service; return its exit code and what it wrote.
        """
        ended = subprocess.run(
            self.command(package, *arguments),
            cwd=self.tree,
            env=self.environment(settings),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=_COMMAND_SECONDS,
        )
        return ended.returncode, ended.stdout


def releases(folder: Path) -> tuple[Release, Release]:
    """
    Return the previous release and the next one; files that are needed are put into *folder*.
    """
    previous = os.environ.get("PREVIOUS", "") or _newest_tag()
    if previous:
        return _extracted(previous, folder / "previous"), _copied("this tree", folder / "next")
    return _copied("this tree", folder / "previous"), _with_samples(folder / "next")


def _newest_tag() -> str:
    with_names = _git("tag", "--list", "v*", "--sort=-version:refname")
    return "" if with_names is None else with_names.decode().partition("\n")[0]


def _extracted(revision: str, tree: Path) -> Release:
    archive = _git("archive", "--format=tar", revision, *_PACKAGES)
    if archive is None:
        pytest.skip(f"NOT RUN: git does not have the release {revision}")
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(tree, filter="data")
    return Release(revision, tree)


def _git(*arguments: str) -> bytes | None:
    program = shutil.which("git")
    if program is None:
        return None
    ended = subprocess.run(
        [program, *arguments], cwd=ROOT, capture_output=True, check=False, timeout=_COMMAND_SECONDS
    )
    return ended.stdout if ended.returncode == 0 else None


def _copied(name: str, tree: Path, *, contracts: bool = False) -> Release:
    # A copy stays as it is, whatever is edited meanwhile.
    for package in _PACKAGES:
        shutil.copytree(ROOT / package, tree / package)
    return Release(name, tree, contracts)


def _with_samples(tree: Path) -> Release:
    release = _copied("the next one", tree, contracts=True)
    for package, table in _TABLES.items():
        before = newest_revision(package)
        for (name, phase), change in _SAMPLES.items():
            text = _SAMPLE.format(
                name=name, before=before, phase=phase, change=change.format(table=table)
            )
            (tree / package / "migrations/versions" / f"{name}_sample.py").write_text(text)
            before = name
    return release
