"""
Every command of the documents runs, in the order of its page: those for development against a pair
in development mode, the others in an installation in production mode.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.command_line import environment
from tests.support.databases import free_port
from tests.support.documented.blocks import COMMANDS, Block, blocks_of
from tests.support.documented.installation import installed
from tests.support.documented.pages import (
    DEVELOPMENT,
    INSTALLED,
    PREPARED,
    PRODUCTION,
    left_out,
    placeholders,
)
from tests.support.documented.shell import Shell
from tests.support.pair import CONFIG, DISPATCH, Pair
from tests.support.project_files import ROOT
from tests.support.receivers import Receiver
from tests.support.templates import PostgresTemplates

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.heavy,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not shutil.which("jq"), reason="DOCUMENTS NOT RUN: jq is not installed"),
]


def blocks_to_run(document: str) -> list[Block]:
    """
    Return the blocks of a document but those that are left out.
    """
    return [it for it in blocks_of((ROOT / document).read_text()) if not left_out(it)]


@pytest.mark.parametrize("document", DEVELOPMENT)
async def test_commands_for_development(
    document: str, pair: Pair, receiver: Receiver, tmp_path: Path
) -> None:
    """
    Each succeeds, as a reader types them on one machine.
    """
    blocks = [it for it in blocks_to_run(document) if not it.production]
    port = str(free_port())
    own = any(block.text.startswith("python3 receiver.py") for block in blocks)
    url = f"http://127.0.0.1:{port}/webhooks" if own else receiver.url
    shell = Shell(
        tmp_path,
        environment(pair, tmp_path),
        {
            "127.0.0.1:50051": pair.address(CONFIG),
            "127.0.0.1:50052": pair.address(DISPATCH),
            "http://127.0.0.1:9443/webhooks": url,
            '("127.0.0.1", 9443)': f'("127.0.0.1", {port})',
            # A reader has a terminal of its own for it.
            "python3 receiver.py\n": "python3 receiver.py & sleep 1\n",
        },
    )
    if document == "docs/tutorials/first_publisher.md":
        first = blocks_to_run("docs/tutorials/first_webhook.md")
        blocks = [*(it for it in first if it.file == "receiver.py"), *blocks]
    if document in PREPARED:
        said = await shell.run([Block(COMMANDS, PREPARED[document], 0)])
        shell.replaced = {**shell.replaced, **placeholders(said)}

    await shell.run(blocks)


@pytest.fixture
def databases(postgres_templates: PostgresTemplates) -> Iterator[dict[str, str]]:
    """
    Yield the URLs of migrated databases of both services.
    """
    with ExitStack() as stack:
        yield {
            service: stack.enter_context(postgres_templates.copy(f"{service}_service"))
            for service in ("config", "dispatch")
        }


async def test_commands_for_production(
    databases: dict[str, str], receiver: Receiver, tmp_path: Path
) -> None:
    """
    Each succeeds, as an operator types them: page by page in one installation.
    """
    async with installed(tmp_path, receiver, databases) as running:
        shell = Shell(tmp_path / "work", running.settings, running.replaced, running.programs)
        said = await shell.run([Block(COMMANDS, INSTALLED, 0)])
        shell.replaced = {**shell.replaced, **placeholders(said)}
        for document in PRODUCTION:
            blocks = blocks_to_run(document)
            if document in DEVELOPMENT:
                blocks = [it for it in blocks if it.production]
            try:
                await shell.run(blocks)
            except AssertionError as failed:
                failed.add_note(f"in {document}")
                raise
