"""
An egress proxy without rules is found out at start.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from dispatch_service.egress.proxy import EgressProxy
from dispatch_service.egress.proxy_check import ProxyUnsafeError, check_proxy, forbidden_targets
from dispatch_service.egress.tls.contexts import TlsContexts
from tests.support.databases import free_port
from tests.support.receivers import raw_receiver

pytestmark = pytest.mark.anyio


def proxy_that(connects: Callable[[str], bool], asked: list[str]) -> Callable[..., object]:
    """
    Return the script of a proxy that connects to some targets and refuses the others.
    """

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        target = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
        asked.append(target)
        answer = "200 Connected" if connects(target) else "403 Forbidden"
        writer.write(f"HTTP/1.1 {answer}\r\n\r\n".encode())

    return script


async def checked(connects: Callable[[str], bool]) -> tuple[list[str], int]:
    """
    Check a proxy; return what it was asked for, and its port.
    """
    asked: list[str] = []
    async with raw_receiver(proxy_that(connects, asked)) as running:  # type: ignore[arg-type]
        await check_proxy(EgressProxy(f"http://127.0.0.1:{running.port}", TlsContexts(None)))
        return asked, running.port


async def test_proxy_with_rules_passes() -> None:
    """
    It is asked for link-local and loopback addresses, and refuses all.
    """
    with capture_logs() as logs:
        asked, port = await checked(lambda _: False)

    assert sorted(asked) == sorted(forbidden_targets(port))
    assert logs == []


@pytest.mark.parametrize("target", ["169.254.169.254:80", "127.0.0.1", "[::1]", "localhost"])
async def test_proxy_that_connects_is_refused(target: str) -> None:
    """
    One such address is enough; the message says what to do.
    """
    with pytest.raises(ProxyUnsafeError, match=r"connects to .*let it refuse addresses") as raised:
        await checked(lambda asked: asked.startswith(target))

    assert target in str(raised.value)


async def test_proxy_that_is_away_is_logged() -> None:
    """
    Nothing is known about it; deliveries wait for it.
    """
    url = f"http://127.0.0.1:{free_port()}"
    with capture_logs() as logs:
        await check_proxy(EgressProxy(url, TlsContexts(None)))

    (line,) = logs
    assert line["event"] == "egress_proxy.unchecked"
    assert line["problem"] == "our egress proxy cannot be reached"
