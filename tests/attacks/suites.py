"""
Attacks that are tests already: they run in a pytest of their own, and their result counts.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.attacks.harness.model import Verdict

PROCESSES = "2"

_OPTIONS = ("-n", PROCESSES, "--dist", "worksteal", "-p", "no:cacheprovider")


@dataclass(frozen=True)
class Suite:
    """
    Files and folders of tests that stand for a promise.
    """

    name: str
    promise: str
    paths: tuple[str, ...]
    seconds: float = 300.0
    alone: bool = False

    async def once(self, _directory: Path) -> Verdict:
        """
        Run the tests, all of which must pass.
        """
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "pytest", *_OPTIONS, *self.paths),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            output, _ = await child.communicate()
        finally:
            if child.returncode is None:
                child.terminate()
                await child.wait()
        verdict = Verdict()
        lines = output.decode(errors="replace").splitlines() or [""]
        failed = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
        verdict.expect(child.returncode == 0, "; ".join([lines[-1].strip("= "), *failed[:5]]))
        return verdict


ATTACKS = [
    Suite(
        "egress.suites",
        "no hostile URL reaches an address that is not public, no receiver holds an attempt up",
        (
            "tests/integration/dispatch_service/egress",
            "tests/unit/dispatch_service/egress",
            "tests/unit/service_runtime/rules/test_urls.py",
        ),
    ),
    Suite(
        "secrets.suites",
        "no secret, path of a URL or value of SQL is where it need not be",
        (
            "tests/e2e/test_markers.py",
            "tests/integration/service_runtime/database/test_hidden_values.py",
        ),
    ),
    Suite(
        "access.suites",
        "no method lets anybody in whom its rule does not name, whatever field names the owner",
        (
            "tests/contract/test_owners.py",
            "tests/integration/service_runtime/rpc/test_access_matrix.py",
            "tests/unit/service_runtime/rpc/test_access.py",
        ),
    ),
]
