"""
The gRPC server of a service, with all that does not depend on what it serves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import grpc
import structlog

from service_runtime.observability import metrics
from service_runtime.observability.open_connections import open_connections
from service_runtime.observability.tracing import measure_traced
from service_runtime.process.failures import StoreFaults
from service_runtime.rpc import server
from service_runtime.rpc.callers import Identify
from service_runtime.rpc.errors import ShuttingDown
from service_runtime.rpc.gate.method import CheckBytes
from service_runtime.rpc.health import ServerHealth
from service_runtime.rpc.interceptors import CallInterceptor
from service_runtime.rpc.reflection import servicer as reflection
from service_runtime.rpc.tracing.spans import tracing
from service_runtime.settings.service import ServiceSettings
from service_runtime.tls.current import CurrentTls

log = structlog.get_logger()


def listening_server(
    service: str,
    settings: ServiceSettings,
    services: Sequence[str],
    *,
    identify: Identify,
    tls: CurrentTls | None,
    health: ServerHealth,
    publishing: Mapping[str, CheckBytes] | None = None,
    reuse_port: bool = False,
) -> grpc.aio.Server:
    """
    Make the server for *services* of *service*, which are still to be added, with health and
    reflection.

    *publishing* has the methods that publish. With *reuse_port* several processes share the
    ports. Raises `PortTakenError`.
    """
    interceptor = CallInterceptor(
        identify,
        limits=settings.limits(),
        publishing=publishing,
        measure=metrics.measure_call if tracing.tracer is None else measure_traced,
        count_refusal=metrics.count_refusal,
        store_is_away=StoreFaults().unavailable,
    )
    health.on_drain(partial(interceptor.streams.drain, ShuttingDown()))
    grpc_server, port = server.build(
        settings.listen,
        interceptors=[interceptor],
        credentials=None if tls is None else tls.server_credentials(),
        more_listeners=settings.token_listeners(tls),
        reuse_port=reuse_port,
        connection_streams=settings.connection_streams,
        connections=settings.listener_connections,
    )
    health.add_to(grpc_server)
    reflection.enable(grpc_server, services)
    _offer_gauges(port, settings.token_listen)
    metrics.show_build(service)
    metrics.SERVING.read_with(lambda: float(health.serving))
    log.info(
        "service.listening",
        service=service,
        listen=settings.listen,
        port=port,
        token_listen=settings.token_listen,
    )
    return grpc_server


def _offer_gauges(port: int, token_listen: str) -> None:
    metrics.CONNECTIONS.read_with(partial(open_connections, port))
    if token_listen:
        token_port = int(token_listen.rpartition(":")[2])
        metrics.TOKEN_CONNECTIONS.read_with(partial(open_connections, token_port))
