"""
A shell for the commands of a document, as a reader would type them one after the other.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.documented import grpcurl
from tests.support.documented.blocks import COMMANDS, Block
from tests.support.project_files import ROOT

_BIN = Path(sys.executable).parent
_SECONDS = 400
_FUNCTIONS = """
set -e
# What runs until Ctrl-C is stopped after a while.
lasting() { timeout --kill-after=2 12 "$@" || [[ $? =~ ^(124|137)$ ]]; }
"""
_LASTING = re.compile(
    r"^(?=.*(?:(?:Watch\w+|ForwardDeliveries)$|attempts tail|endpoints tail|webhooksctl listen))",
    re.MULTILINE,
)
_PROGRAMS: Mapping[str, str] = {
    # Its questions are answered with yes.
    "webhooksctl": f'#!/bin/sh\nyes | {_BIN}/webhooksctl "$@"\n',
    "grpcurl": f'#!/bin/sh\n{grpcurl.command()} "$@"\n',
}


@dataclass
class Shell:
    """
    Runs blocks in *folder* with *settings*; in all texts *replaced* stands for what only the reader
    knows: addresses, ids, paths.
    """

    folder: Path
    settings: Mapping[str, str]
    replaced: Mapping[str, str]
    programs: Mapping[str, str] = field(default_factory=dict)

    def prepare(self) -> None:
        """
        Write the programs that the commands find first.
        """
        (self.folder / "bin").mkdir(parents=True, exist_ok=True)
        for name, text in {**_PROGRAMS, **self.programs}.items():
            path = self.folder / "bin" / name
            path.write_text(text)
            path.chmod(0o755)
        if not (self.folder / "proto").exists():
            (self.folder / "proto").symlink_to(ROOT / "proto")

    def filled(self, text: str) -> str:
        """
        Return *text* with the values of this reader.
        """
        for name, value in self.replaced.items():
            text = text.replace(name, value)
        return text

    async def run(self, blocks: Sequence[Block]) -> str:
        """
        Save the files of a document and run its commands; return what they wrote.

        Raises `AssertionError` with the output and the line of the block that failed.
        """
        self.prepare()
        for block in blocks:
            if block.file:
                (self.folder / block.file).write_text(self.filled(block.text))
        script = [_FUNCTIONS]
        for block in blocks:
            if block.language == COMMANDS:
                script += [f"echo '@@ line {block.line}'", self._typed(self.filled(block.text))]
        return await self._run("\n".join(script))

    @staticmethod
    def _typed(text: str) -> str:
        joined = re.sub(r"\\\n\s*", "", text)
        return _LASTING.sub("lasting ", joined)

    async def _run(self, script: str) -> str:
        environment = {**os.environ, **self.settings}
        environment["PATH"] = f"{self.folder}/bin:{_BIN}:{environment['PATH']}"
        # Not a pipe: what a document starts in another terminal would keep it open.
        written = self.folder / "output.txt"
        with written.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                "bash", "-c", script, cwd=self.folder, env=environment, start_new_session=True,
                stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output,
            )  # fmt: skip
        try:
            async with asyncio.timeout(_SECONDS):
                code = await process.wait()
        except TimeoutError:
            code = -1
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        text = written.read_text(errors="replace")
        assert code == 0, f"exit code {code}:\n{text[-6000:]}"
        return text
