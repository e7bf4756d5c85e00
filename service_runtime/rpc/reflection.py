"""
Server reflection, so that tools need no proto files.
"""

from __future__ import annotations

from collections.abc import Sequence

import grpc
from grpc_reflection.v1alpha import reflection


def enable(server: grpc.aio.Server, services: Sequence[str]) -> None:
    """
    Offer reflection of *services*, of health and of itself.
    """
    names = (*services, "grpc.health.v1.Health", reflection.SERVICE_NAME)
    reflection.enable_server_reflection(names, server)
