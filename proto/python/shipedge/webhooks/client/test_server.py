"""
Both services on this machine, for the tests of a program that publishes.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import grpc

from shipedge.webhooks.client.channel import connect_blocking

START_SECONDS = 60.0
STOP_SECONDS = 60.0

_HEALTH = "/grpc.health.v1.Health/Check"
_SERVING = b"\x08\x01"
_MODULE = "service_runtime.process.pair"


class TestServer:
    """
    Runs both services and the console in development mode on free ports of loopback, with SQLite
    in a folder that is deleted at the end.

        with TestServer() as server, Publisher(server.dispatch_address) as publisher:
            publisher.publish(event).result()

    The distribution `shipedge-webhooks` must be installed, for this interpreter. *settings* are
    added to the environment of the services.
    """

    __test__ = False

    def __init__(self, **settings: str) -> None:
        self.config_address, self.dispatch_address = _free_address(), _free_address()
        self.console_address = _free_address()
        self._settings = settings
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> TestServer:
        """
        Start, and wait until both services serve. Raises `RuntimeError` if they do not, with what
        they printed.
        """
        self._folder = tempfile.TemporaryDirectory(prefix="shipedge-webhooks-")
        folder = Path(self._folder.name)
        with (folder / "output.txt").open("wb") as output:
            self._child = subprocess.Popen(
                [sys.executable, "-m", _MODULE],
                env=self._environment(folder),
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            for address in (self.config_address, self.dispatch_address):
                self._wait_serving(address, folder / "output.txt")
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """
        Stop both services and delete their data.
        """
        if self._child is not None:
            self._child.terminate()
            self._child.wait(STOP_SECONDS)
            self._child = None
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def _environment(self, folder: Path) -> dict[str, str]:
        inherited = {it: text for it, text in os.environ.items() if not it.startswith("SHIPEDGE_")}
        return {
            **inherited,
            "SHIPEDGE_ENVIRONMENT": "development",
            "SHIPEDGE_DATA_DIR": str(folder / "data"),
            "SHIPEDGE_LOG_LEVEL": "error",
            "SHIPEDGE_CONFIG_LISTEN": self.config_address,
            "SHIPEDGE_DISPATCH_LISTEN": self.dispatch_address,
            "SHIPEDGE_DISPATCH_CONFIG_ADDRESS": self.config_address,
            "SHIPEDGE_CONSOLE_LISTEN": self.console_address,
            **self._settings,
        }

    def _wait_serving(self, address: str, output: Path) -> None:
        until = time.monotonic() + START_SECONDS
        with connect_blocking(address, own_connection=True) as channel:
            check: Any = channel.unary_unary(_HEALTH)
            while self._child is not None and self._child.poll() is None:
                if time.monotonic() > until:
                    break
                try:
                    if check(b"", timeout=1) == _SERVING:
                        return
                except grpc.RpcError:
                    pass
                time.sleep(0.1)
        raise RuntimeError(f"the services do not serve on {address}: {output.read_text()}")


def _free_address() -> str:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{listener.getsockname()[1]}"
