"""
Calls to a running config service that many tests make.
"""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from service_runtime.rpc.status import ErrorDetail, read_error
from shipedge.webhooks.config.v1 import config_service_pb2 as pb
from shipedge.webhooks.config.v1.subscription_pb2 import (
    CustomHeader,
    Subscription,
)
from tests.integration.config_service.conftest import Running

OWNER = "accounts/100"


def wanted(**over: Any) -> Subscription:
    """
    Make a subscription that may be created.
    """
    values: dict[str, Any] = {
        "event_type": "orders/shipped",
        "payload_version": "v2",
        "url": "https://example.com/hooks?token=marker-in-url",
        "status": Subscription.STATUS_ACTIVE,
        "custom_headers": [CustomHeader(name="Authorization", value="marker-in-header")],
    }
    return Subscription(**(values | over))


async def create(running: Running, parent: str = OWNER, **over: Any) -> Subscription:
    """
    Create a subscription.
    """
    request = pb.CreateSubscriptionRequest(parent=parent, subscription=wanted(**over))
    return await running.config.CreateSubscription(request)


async def error(call: Any) -> ErrorDetail:
    """
    Return the error that a call ends with.
    """
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    return read_error(raised.value)
