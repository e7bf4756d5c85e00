"""
The benchmark's receiver as a child process, with its certificate authority.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trustme

from service_runtime.process import pair as processes

TIMEOUT_SECONDS = 60.0


@dataclass
class Receiver:
    """
    The process of the receiver, and the file of its certificate authority.
    """

    child: asyncio.subprocess.Process
    port: int
    authority: Path

    def url(self, path: str = "/ok") -> str:
        return f"https://127.0.0.1:{self.port}{path}"

    async def ask(self, command: str = "report") -> dict[str, Any]:
        """
        Send a command to the receiver; return its report.
        """
        assert self.child.stdin is not None
        assert self.child.stdout is not None
        self.child.stdin.write(f"{command}\n".encode())
        answer: dict[str, Any] = json.loads(await self.child.stdout.readline())
        return answer

    async def wait(self, path: str, requests: int) -> dict[str, Any]:
        """
        Wait for *requests* requests on a path; return the report.
        """
        async with asyncio.timeout(TIMEOUT_SECONDS):
            while True:
                report = await self.ask()
                if report["paths"].get(path, {}).get("requests", 0) >= requests:
                    return report
                await asyncio.sleep(0.05)


@asynccontextmanager
async def running_receiver(directory: Path) -> AsyncIterator[Receiver]:
    """
    Run a receiver; its certificate and authority are written to *directory*.
    """
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    file, authority_file = directory / "receiver.pem", directory / "authority.pem"
    certificate.private_key_and_cert_chain_pem.write_to_path(str(file))
    authority_file.write_bytes(authority.cert_pem.bytes())
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.bench.receiver", str(file)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert child.stdout is not None
        yield Receiver(child, int(await child.stdout.readline()), authority_file)
    finally:
        await processes.stop(child)
