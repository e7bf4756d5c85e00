"""
Whether an egress proxy refuses what the guard would refuse.

With a proxy no name is resolved here, so a proxy without rules would let deliveries reach
internal addresses. It is asked for some before the service starts.
"""

from __future__ import annotations

import asyncio

import structlog

from dispatch_service.egress.proxy import EgressProxy
from dispatch_service.egress.requests import ExchangeFailedError
from service_runtime.process.lifecycle import StartRefusedError
from shipedge.webhooks.failures.causes import Cause

CHECK_SECONDS = 5.0

log = structlog.get_logger()


class ProxyUnsafeError(StartRefusedError):
    """
    The egress proxy connects to addresses that deliveries must not reach.
    """


async def check_proxy(proxy: EgressProxy) -> None:
    """
    Ask *proxy* for a link-local and a loopback address, on a port where it listens itself.

    Raises `ProxyUnsafeError` if it connects. A proxy that does not answer is logged: deliveries
    wait for it.
    """
    targets = forbidden_targets(proxy.port)
    answers = await asyncio.gather(*(_answer(proxy, target) for target in targets))
    for target, problem in answers:
        if not problem:
            raise ProxyUnsafeError(
                f"the proxy of SHIPEDGE_DISPATCH_EGRESS_PROXY connects to {target}, so deliveries"
                " could reach internal addresses: let it refuse addresses that are not public"
            )
    unclear = [problem for _, problem in answers if problem != Cause.PROXY_REFUSED.happened()]
    if unclear:
        log.warning("egress_proxy.unchecked", problem=unclear[0])


def forbidden_targets(port: int) -> tuple[str, ...]:
    """
    Return addresses that every proxy must refuse: where clouds keep credentials, and the proxy's
    own *port* by its loopback addresses.
    """
    return ("169.254.169.254:80", f"127.0.0.1:{port}", f"[::1]:{port}", f"localhost:{port}")


async def _answer(proxy: EgressProxy, target: str) -> tuple[str, str]:
    """
    Return the target with the reason why there was no connection, empty if there was one.
    """
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            await proxy.probe(target)
    except ExchangeFailedError as refused:
        return target, refused.happened
    except TimeoutError:
        return target, f"{Cause.PROXY_SILENT.happened()} in time"
    return target, ""
