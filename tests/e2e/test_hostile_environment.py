"""
The pair under variables that libraries read: proxies that do not answer, other authorities.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from service_runtime.process import pair as processes
from tests.e2e.test_pair import receives, shipped
from tests.support.pair import DISPATCH, environment_of, running_pair
from tests.support.receivers import Receiver

pytestmark = [pytest.mark.anyio, pytest.mark.heavy]

_NOWHERE = "http://127.0.0.1:9"
_HOSTILE = {
    "http_proxy": _NOWHERE,
    "https_proxy": _NOWHERE,
    "ALL_PROXY": _NOWHERE,
    "grpc_proxy": _NOWHERE,
    "no_proxy": "",
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": "/dev/null",
    "PGHOST": "127.0.0.1",
    "PGSSLMODE": "require",
    "RES_OPTIONS": "attempts:1",
}


async def test_variables_that_libraries_read_change_nothing(
    tmp_path: Path, receiver: Receiver
) -> None:
    """
    The services reach each other, `probe` says so, deliveries arrive, no session key is written.
    """
    key_log = tmp_path / "session_keys"
    hostile = {**_HOSTILE, "SSLKEYLOGFILE": str(key_log)}
    environment = environment_of(tmp_path, receiver, **hostile)
    async with running_pair(environment, as_shipped=True) as pair:
        await pair.subscribe(receiver.url, "orders/shipped", "v2")
        await pair.publish(shipped("order-1"))
        assert len(await receives(receiver, "order-1")) == 1
        command = [*processes.command(DISPATCH), "probe"]
        probe = await asyncio.create_subprocess_exec(*command, env=pair.environment)
        assert await probe.wait() == 0

    assert not key_log.exists()
