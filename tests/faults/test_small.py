"""
A small part of each kind of fault.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest

from tests.faults import crashes, housekeeping, in_force
from tests.faults.harness.model import SQLITE
from tests.faults.harness.site import Site, running_site

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(300)]

SCENARIOS: dict[str, Callable[[Site], Awaitable[None]]] = {
    "crashes": partial(crashes.at_random, kills=2),
    "housekeeping": housekeeping.resend_job,
    "in_force": partial(in_force.created, each=1),
}
"""
The scenarios that are small and cheap enough, by their kind.
"""


@pytest.mark.parametrize("kind", SCENARIOS)
async def test_fault_is_survived(tmp_path: Path, kind: str) -> None:
    """
    The promise for a fault of each kind is kept on SQLite; `make fault-test` has all of them.
    """
    async with running_site(tmp_path / "site", SQLITE, fast=True) as site:
        await SCENARIOS[kind](site)

    assert not [c.text for c in site.report.checks if not c.good and not c.timed]
    assert site.report.checks
    assert site.report.lost == 0
