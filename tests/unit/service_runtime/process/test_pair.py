"""
What the command that runs both services says when it cannot.
"""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

import pytest

from service_runtime.process.pair import AlreadyRunningError, ended_text, only_pair, run
from tests.support.databases import free_port


def environment(data: Path) -> dict[str, str]:
    """
    Return settings with free addresses.
    """
    return {
        "SHIPEDGE_DATA_DIR": str(data),
        "SHIPEDGE_CONFIG_LISTEN": f"127.0.0.1:{free_port()}",
        "SHIPEDGE_DISPATCH_LISTEN": f"127.0.0.1:{free_port()}",
        "SHIPEDGE_CONSOLE_LISTEN": f"127.0.0.1:{free_port()}",
    }


def test_second_pair_names_the_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """
    It says which process has the services, and where, and starts nothing.
    """
    settings = environment(tmp_path)
    with only_pair(settings):
        code = asyncio.run(run(settings))
    said = capsys.readouterr().err

    assert code == 1
    assert f"not started: both services run already, started by process {os.getpid()}" in said
    assert settings["SHIPEDGE_DISPATCH_LISTEN"] in said
    assert said.count("\n") == 1


def test_address_of_another_process(tmp_path: Path) -> None:
    """
    Whoever listens there would answer for the service that cannot start.
    """
    settings = environment(tmp_path)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        settings["SHIPEDGE_CONFIG_LISTEN"] = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(AlreadyRunningError, match="config_service cannot listen on"):
            with only_pair(settings):
                pass
    with only_pair(settings):
        pass


def test_end_of_a_service_is_said_with_its_cause() -> None:
    """
    An exit code, or the signal that killed it.
    """
    assert ended_text("config_service", 1) == (
        "config_service ended by itself with exit code 1; its last line above says why"
    )
    assert ended_text("dispatch_service", -9) == "dispatch_service was killed by SIGKILL"
