"""
A short run of the kill loop.
"""

from __future__ import annotations

import pytest

from tests.crash import loop

MINUTES = 0.35
SEED = 20


@pytest.mark.timeout(300)
def test_promises_are_kept_while_everything_dies(capsys: pytest.CaptureFixture[str]) -> None:
    """
    Kills, stops and crashes of the database lose no acknowledged event.

    Duplicates stay within their bound, and every request has a row.
    """
    code = loop.main([str(MINUTES), str(SEED)])

    *_, line = capsys.readouterr().out.splitlines()
    assert code == 0, line
    assert ", lost 0, " in line
    assert not line.startswith("acknowledged 0,")
    assert not line.endswith("faults 0")
