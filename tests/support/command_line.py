"""
Runs of webhooksctl against a pair, in a thread, so that receivers of the test go on.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from tests.support.pair import CONFIG, DISPATCH, PATIENCE_SECONDS, Pair
from webhooksctl.app import app


def environment(pair: Pair, folder: Path) -> dict[str, str]:
    """
    Return the settings of a run against a pair; *folder* has no profiles.
    """
    return {
        "XDG_CONFIG_HOME": str(folder),
        "WEBHOOKSCTL_CONFIG_ADDRESS": pair.address(CONFIG),
        "WEBHOOKSCTL_DISPATCH_ADDRESS": pair.address(DISPATCH),
        "WEBHOOKSCTL_OWNER": "accounts/100",
    }


@dataclass(frozen=True, slots=True)
class CommandLine:
    """
    Runs commands with settings, those of a pair for example.
    """

    settings: dict[str, str]

    async def __call__(self, *arguments: str, answer: str = "", code: int = 0) -> Any:
        """
        Run a command, which must exit with *code*; *answer* is what is typed.
        """
        result = await asyncio.to_thread(
            CliRunner().invoke, app, list(arguments), input=answer, env=self.settings
        )
        assert result.exit_code == code, result.output + repr(result.exception)
        return result

    async def json(self, *arguments: str, code: int = 0) -> Any:
        """
        Run a command and return its JSON.
        """
        return json.loads((await self(*arguments, "-o", "json", code=code)).stdout)

    async def until(self, holds: Callable[[Any], bool], *arguments: str) -> Any:
        """
        Return the JSON of a command as soon as it *holds*.
        """
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not holds(found := await self.json(*arguments)):
                await asyncio.sleep(0.05)
        return found

    async def subscribe(self, url: str, *more: str) -> str:
        """
        Create a subscription to shipped orders; return its id.
        """
        flags = ("--event", "orders/shipped", "--version", "v2", "--url", url, "--retry", "1h")
        made = await self.json("subscriptions", "create", *flags, *more)
        return str(made["name"]).rpartition("/")[2]
