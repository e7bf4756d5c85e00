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
    Through kills, stops and crashes of the database nothing that was acknowledged is
    lost, nothing goes out twice without a reason in the log, and no request lacks a row.
    """
    code = loop.main([str(MINUTES), str(SEED)])

    *_, line = capsys.readouterr().out.splitlines()
    assert code == 0, line
    assert ", lost 0, " in line
    assert not line.startswith("acknowledged 0,")
    assert not line.endswith("kills 0")
