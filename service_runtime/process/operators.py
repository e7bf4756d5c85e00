"""
The listeners for operators: health and reflection without TLS, and metrics, on addresses that
only operators can reach.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import structlog
from prometheus_client import CollectorRegistry

from service_runtime.observability import metrics
from service_runtime.observability.instruments import REGISTRY
from service_runtime.rpc import server
from service_runtime.rpc.health import ServerHealth
from service_runtime.rpc.reflection import servicer as reflection

log = structlog.get_logger()

_OPTIONS = (
    # A connection that does not say what it wants within 5 s is closed.
    ("grpc.server_handshake_timeout_ms", 5_000),
    ("grpc.http2.settings_timeout", 5_000),
    ("grpc.max_allowed_incoming_connections", 32),
    ("grpc.max_connection_idle_ms", 300_000),
)
"""
What bounds the cost of connections: this listener knows no callers.
"""


@asynccontextmanager
async def operators_listeners(
    listen: str,
    metrics_listen: str,
    health: ServerHealth,
    services: Sequence[str],
    registry: CollectorRegistry = REGISTRY,
) -> AsyncIterator[None]:
    """
    Listen while the block lasts. An empty address means no listener.

    Raises `PortTakenError`.
    """
    grpc_server = None
    if listen:
        grpc_server, _ = server.build(
            listen, interceptors=[], credentials=None, connection_streams=16, more_options=_OPTIONS
        )
        health.add_to(grpc_server)
        reflection.enable(grpc_server, services)
        await grpc_server.start()
        log.info("operators.listening", listen=listen)
    stop_metrics = _serve_metrics(metrics_listen, registry) if metrics_listen else None
    try:
        yield
    finally:
        if stop_metrics is not None:
            stop_metrics()
        if grpc_server is not None:
            await server.stop(grpc_server, 0)


def _serve_metrics(listen: str, registry: CollectorRegistry) -> metrics.Stop:
    try:
        return metrics.serve(listen, registry)
    except OSError as refused:
        raise server.PortTakenError(f"cannot serve metrics on {listen}") from refused
