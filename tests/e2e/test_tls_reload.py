"""
New certificates are taken up by running services, and SIGHUP ends none of them.
"""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from service_runtime.process import pair as processes
from service_runtime.tls.material import TlsFiles
from tests.e2e.test_production import production
from tests.integration.service_runtime.tls.test_current import shown
from tests.support import preloaded
from tests.support.authority import Authority
from tests.support.pair import PATIENCE_SECONDS
from tests.support.receivers import Receiver

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(240), pytest.mark.heavy]

SERVER = ExtendedKeyUsageOID.SERVER_AUTH
CONNECTIONS = 12
"""
Enough for the kernel to give both workers some.
"""


def with_authority(authority: Authority, environment: dict[str, str]) -> TlsFiles:
    """
    Give services the certificate of an authority; return the files.
    """
    files = authority.files(authority.issue("localhost", "dispatch"))
    environment["SHIPEDGE_TLS_CERTIFICATE_FILE"] = str(files.certificate)
    environment["SHIPEDGE_TLS_KEY_FILE"] = str(files.key)
    environment["SHIPEDGE_TLS_CA_FILE"] = str(files.authority)
    return files


async def shows_everywhere(address: str, files: TlsFiles, serial: int) -> None:
    """
    Wait until all new connections see a certificate.
    """
    async with asyncio.timeout(2 * PATIENCE_SECONDS):
        while await serials(address, files) != {serial}:
            await asyncio.sleep(0.1)


async def serials(address: str, files: TlsFiles) -> set[int]:
    """
    Return the serial numbers that new connections see; none while nobody listens.
    """
    try:
        return {await shown(address, files) for _ in range(CONNECTIONS)}
    except OSError:
        return set()


async def test_all_processes_take_up_a_new_certificate(
    tmp_path: Path, receiver: Receiver, database: str
) -> None:
    """
    After SIGHUP, new connections to the config service and to each worker of the dispatch
    service see the new certificate.
    """
    authority = Authority(tmp_path)
    environment = production(tmp_path, receiver) | {
        "SHIPEDGE_DISPATCH_WORKERS": "2",
        "SHIPEDGE_DISPATCH_DATABASE_URL": database,
        "SHIPEDGE_DISPATCH_DATABASE_TLS": "off",
    }
    files = with_authority(authority, environment)
    client = authority.files(authority.issue("client"), "client")
    addresses = [environment[f"SHIPEDGE_{name}_LISTEN"] for name in ("CONFIG", "DISPATCH")]
    config, dispatch = await preloaded.start("config_service", environment), None
    try:
        dispatch = await preloaded.start("dispatch_service", environment)
        first = x509.load_pem_x509_certificate(files.certificate.read_bytes())
        for address in addresses:
            await shows_everywhere(address, client, first.serial_number)
        renewed = authority.issue("localhost", "dispatch")
        authority.files(renewed)
        for child in (config, dispatch):
            os.kill(child.pid, signal.SIGHUP)
        for address in addresses:
            await shows_everywhere(address, client, renewed.certificate.serial_number)
    finally:
        for child in filter(None, (dispatch, config)):
            assert await processes.stop(child) == 0
    assert files.certificate.read_text() == renewed.chain_pem


async def test_certificate_that_cannot_call_is_named_at_start(
    tmp_path: Path, receiver: Receiver
) -> None:
    """
    The dispatch service shows its certificate to the config service, so it must be allowed to.
    """
    authority = Authority(tmp_path)
    environment = production(tmp_path, receiver)
    with_authority(authority, environment)
    only_server = authority.issue("localhost", usages=(SERVER,))
    authority.files(only_server)
    code, said = await asyncio.to_thread(preloaded.run, "dispatch_service", environment)

    assert code == 1
    assert "is used as a client certificate, but its extended key usage lacks clientAuth" in said
    assert "Traceback" not in said
