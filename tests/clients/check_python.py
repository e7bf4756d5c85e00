"""
The client for Python, in an environment with nothing but the oldest packages that it allows.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

import pytest

from tests.clients.expected import assert_went_well
from tests.clients.programs import EXAMPLES, Services, run
from tests.support.project_files import ROOT

FOLDER = ROOT / "proto/python"

USE = """
from shipedge.webhooks.client.publisher import Publisher
from shipedge.webhooks.client.errors import NotAnsweredError
from shipedge.webhooks.events.v1 import event_pb2
publisher = Publisher("127.0.0.1:1")
waiting = publisher.publish(event_pb2.Event(event_id="e-1", account_id=1))
try:
    publisher.close(0.5)
except NotAnsweredError:
    print(type(waiting.exception()).__name__)
"""


def test_wheel_works_with_the_oldest_packages(tmp_path: Path) -> None:
    """
    The wheel is built and installed with the lower bounds of its dependencies, and publishes: to
    nobody, so it says in the end that there was no answer.
    """
    pip = [sys.executable, "-m", "pip"]
    run(
        *pip, "wheel", "--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", tmp_path,
        FOLDER, folder=tmp_path,
    )  # fmt: skip
    (wheel,) = tmp_path.glob("*.whl")
    needed = tomllib.loads((FOLDER / "pyproject.toml").read_text())["project"]["dependencies"]
    run(sys.executable, "-m", "venv", "clean", folder=tmp_path)
    python = tmp_path / "clean/bin/python"
    oldest = [re.sub(">=", "==", it) for it in needed]
    run(python, "-m", "pip", "install", wheel, *oldest, folder=tmp_path)

    assert run(python, "-I", "-c", USE, folder=tmp_path).strip() == "NotAnsweredError"


@pytest.mark.anyio
async def test_example_runs(services: Services, tmp_path: Path) -> None:
    """
    The program of `clients/python` does what it says, against a running pair.
    """
    example = EXAMPLES / "python/example.py"

    assert_went_well(await services.run(sys.executable, example, folder=tmp_path))
