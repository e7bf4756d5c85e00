"""
No command of the documents is forgotten: each is run by a test, or it is said why not.
"""

from __future__ import annotations

import re

import pytest

from tests.support.docs_site.__main__ import documents
from tests.support.documented.blocks import COMMANDS, blocks_of
from tests.support.documented.pages import (
    DEVELOPMENT,
    ELSEWHERE,
    NOT_RUN,
    PRODUCTION,
    left_out,
)
from tests.support.project_files import ROOT

RUN = {*DEVELOPMENT, *PRODUCTION}


@pytest.mark.parametrize("document", documents())
def test_every_block_says_what_it_is(document: str) -> None:
    """
    `sh` for commands, `text` for what is no language.
    """
    unnamed = [it.line for it in blocks_of((ROOT / document).read_text()) if not it.language]

    assert unnamed == [], f"blocks of {document} in these lines have no language"


@pytest.mark.parametrize("document", documents())
def test_every_command_is_run_somewhere(document: str) -> None:
    """
    By the test of documented commands in the mode that it is for, by a test of its own, or not at
    all for a reason.
    """
    blocks = blocks_of((ROOT / document).read_text())
    commands = [it for it in blocks if it.language == COMMANDS and not left_out(it)]

    if document not in ELSEWHERE:
        where = {production: it for it, production in ((DEVELOPMENT, False), (PRODUCTION, True))}
        lost = [it.line for it in commands if document not in where[it.production]]
        assert document in RUN or lost == []


def test_lists_have_nothing_that_is_gone() -> None:
    """
    Documents and tests that are named exist, and every reason has a command.
    """
    assert RUN | set(ELSEWHERE) <= set(documents())
    assert [test for test in ELSEWHERE.values() if not (ROOT / test).exists()] == []
    texts = [
        block.text
        for document in documents()
        for block in blocks_of((ROOT / document).read_text())
        if block.language == COMMANDS
    ]
    unused = [it for it in NOT_RUN if not any(re.search(it, text, re.MULTILINE) for text in texts)]
    assert unused == []
