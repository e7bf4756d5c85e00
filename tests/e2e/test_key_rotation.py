"""
Rotation of the encryption keys of both services, in the steps of an operator.
"""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from typing import Any

import pytest

from shipedge.webhooks.config.v1 import config_admin_service_pb2, config_admin_service_pb2_grpc
from shipedge.webhooks.dispatch.v1 import delivery_pb2, delivery_service_pb2
from shipedge.webhooks.dispatch.v1 import dispatch_admin_service_pb2 as dispatch_pb2
from shipedge.webhooks.dispatch.v1 import dispatch_admin_service_pb2_grpc as dispatch_grpc
from tests.e2e.test_pair import known, settled, shipped
from tests.support import preloaded
from tests.support.pair import CONFIG, DISPATCH, Pair, environment_of, eventually, running_pair
from tests.support.receivers import Receiver

pytestmark = [pytest.mark.anyio, pytest.mark.heavy]

OLD = f"old:{base64.b64encode(b'o' * 32).decode()}"
NEW = f"new:{base64.b64encode(b'n' * 32).decode()}"
HASH = base64.b64encode(b"h" * 32).decode()


async def restarted(pair: Pair, keys: str) -> None:
    """
    Restart both services with other encryption keys.
    """
    for package in (DISPATCH, CONFIG):
        assert await pair.stop(package) == 0
    pair.environment["SHIPEDGE_ENCRYPTION_KEYS"] = keys
    for package in (CONFIG, DISPATCH):
        await pair.start(package)


async def rotated(stub: Any, request: Any) -> int:
    """
    Rotate until no value is left; return the number of rotated values.
    """
    total: int = 0
    while True:
        answer = await stub.RotateEncryptionKeys(request)
        assert answer.key_id == "new"
        total += int(answer.rotated_count)
        if answer.remaining_count == 0:
            return total


async def test_keys_change_while_nothing_is_lost(tmp_path: Path, receiver: Receiver) -> None:
    """
    With both keys all values can be opened; after the rotation the old key is not needed.
    """
    environment = environment_of(
        tmp_path, receiver, SHIPEDGE_ENCRYPTION_KEYS=OLD, SHIPEDGE_HASH_KEY=HASH
    )
    async with running_pair(environment) as pair:
        await pair.subscribe(receiver.url, "orders/shipped", "v2")
        await known(pair, receiver, "before")
        (delivery, *_) = await settled(pair, delivery_pb2.Delivery.STATE_SUCCEEDED)
        body = receiver.requests[0].body

        await restarted(pair, f"{NEW},{OLD}")
        config = config_admin_service_pb2_grpc.ConfigAdminServiceStub(pair.channels[CONFIG])
        request = config_admin_service_pb2.RotateEncryptionKeysRequest(limit=1)
        assert await rotated(config, request) == 4
        dispatch = dispatch_grpc.DispatchAdminServiceStub(pair.channels[DISPATCH])
        assert await rotated(dispatch, dispatch_pb2.RotateEncryptionKeysRequest()) >= 2

        await restarted(pair, NEW)
        resend = delivery_service_pb2.ResendDeliveryRequest(name=delivery.name, force=True)
        before = len(receiver.requests)
        await pair.deliveries.ResendDelivery(resend)
        await eventually(lambda: len(receiver.requests) > before)
        assert receiver.requests[-1].body == body
        await pair.publish(shipped("after"))
        await eventually(lambda: receiver.requests[-1].headers["x-shipedge-event-id"] == "after")
        entries = await dispatch_grpc.DispatchAdminServiceStub(
            pair.channels[DISPATCH]
        ).ListAuditEntries(dispatch_pb2.ListAuditEntriesRequest(parent="accounts/100"))
        assert [(it.method, it.resource) for it in entries.audit_entries] == [
            ("ResendDelivery", delivery.name)
        ]
        dispatch = dispatch_grpc.DispatchAdminServiceStub(pair.channels[DISPATCH])
        config = config_admin_service_pb2_grpc.ConfigAdminServiceStub(pair.channels[CONFIG])
        for verified in (
            await dispatch.VerifyAuditLog(dispatch_pb2.VerifyAuditLogRequest()),
            await config.VerifyAuditLog(config_admin_service_pb2.VerifyAuditLogRequest()),
        ):
            assert verified.complete
            assert not verified.HasField("fault")
            assert verified.verified_count >= 2


@pytest.mark.parametrize("package", [CONFIG, DISPATCH])
async def test_service_without_the_key_does_not_start(
    tmp_path: Path, receiver: Receiver, package: str
) -> None:
    """
    A service without a key that is in use refuses to start and names the setting.
    """
    environment = environment_of(
        tmp_path, receiver, SHIPEDGE_ENCRYPTION_KEYS=OLD, SHIPEDGE_HASH_KEY=HASH
    )
    async with running_pair(environment) as pair:
        await pair.subscribe(receiver.url, "orders/shipped", "v2")
        await known(pair, receiver, "before")
    renewed = environment | {"SHIPEDGE_ENCRYPTION_KEYS": NEW}
    code, said = await asyncio.to_thread(preloaded.run, package, renewed)
    assert code == 1
    assert "sealed under keys that SHIPEDGE_ENCRYPTION_KEYS does not hold" in said
