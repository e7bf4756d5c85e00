"""
The smallest of the attacks, on a pair as `make attack-test` sets it up.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.attacks import forbidden_owners
from tests.attacks.harness.setups import Setup
from tests.attacks.harness.stage import running_stage

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(300)]


async def test_owners_are_kept_apart(tmp_path: Path) -> None:
    """
    A publisher in production mode writes nothing for a warehouse that it may not touch.
    """
    async with running_stage(tmp_path, Setup()) as stage:
        verdict = await forbidden_owners.warehouse(stage)

    assert verdict.failed == []
    assert verdict.seen
