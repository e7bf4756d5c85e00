"""
Both services with resources in all the states that calls are refused for.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from google.rpc import status_pb2
from grpc_status import rpc_status

from dispatch_service.payloads import example_event
from shipedge.webhooks.config.v1 import config_admin_service_pb2_grpc
from shipedge.webhooks.config.v1 import config_service_pb2 as config
from shipedge.webhooks.config.v1.client_certificate_pb2 import ClientCertificate, PemMaterial
from shipedge.webhooks.config.v1.credential_pb2 import Credential
from shipedge.webhooks.config.v1.signing_key_pb2 import CreateSigningKeyRequest, SigningKey
from shipedge.webhooks.config.v1.subscription_pb2 import Subscription
from shipedge.webhooks.dispatch.v1 import (
    delivery_pb2,
    dispatch_admin_service_pb2,
    dispatch_admin_service_pb2_grpc,
    payload_service_pb2_grpc,
    replay_job_pb2,
    resend_job_pb2,
)
from shipedge.webhooks.dispatch.v1 import delivery_service_pb2 as dispatch
from shipedge.webhooks.events.v1.event_pb2 import Event
from tests.support import certificates
from tests.support.pair import CONFIG, DISPATCH, PATIENCE_SECONDS, Pair

OWNER, OTHER_OWNER = "accounts/100", "accounts/200"
KNOWN_EVENT, ERASED_EVENT = "known", "erased"
NOTHING = "0" * 32

SETTINGS = {"SHIPEDGE_CONFIG_OWNER_CLIENT_CERTIFICATES": "1"}
"""
The settings of the pair: an owner that has one certificate is at its limit.
"""


@dataclass
class Scene:
    """
    A pair. Account 100 has subscriptions `used` (with the credential, certificate and signing key
    `used`), `asleep`, which is Inactive, and `gone`, which is deleted; each has a delivery of the
    event `known` that succeeded. The event `erased` is. Both jobs have ended.
    """

    pair: Pair
    deliveries_of: dict[tuple[str, str], str]
    resend_job: str = ""
    replay_job: str = ""

    @property
    def payloads(self) -> Any:
        """
        Return a client of the payload service.
        """
        return payload_service_pb2_grpc.PayloadServiceStub(self.pair.channels[DISPATCH])

    @property
    def callers(self) -> Any:
        """
        Return a client of the config service's administration.
        """
        return config_admin_service_pb2_grpc.ConfigAdminServiceStub(self.pair.channels[CONFIG])

    def delivery(self, subscription: str, event: str = KNOWN_EVENT) -> str:
        """
        Return the name of the delivery of an event to a subscription, both by their ids.
        """
        return self.deliveries_of[subscription, event]

    async def raw(self, package: str, method: str, message: bytes) -> None:
        """
        Send bytes to a method.
        """
        call: Any = self.pair.channels[package].unary_unary(method)
        await call(message)


def named(collection: str, resource: str, owner: str = OWNER) -> str:
    """
    Return the name of a resource.
    """
    return f"{owner}/{collection}/{resource}"


def certificate() -> ClientCertificate:
    """
    Make a client certificate that may be uploaded.
    """
    issued = certificates.client()
    material = PemMaterial(certificate_chain=issued.chain_pem, private_key=issued.key_pem())
    return ClientCertificate(display_name="used", pem=material)


def shipped(event_id: str) -> Event:
    """
    Make the documented shipped order under another id.
    """
    event = example_event("orders/shipped")
    event.event_id = event_id
    return event


async def status_of(call: Any) -> status_pb2.Status:
    """
    Return the status that a call ends with. Raises `AssertionError` for one that is answered or
    has no details.
    """
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    status = rpc_status.from_call(raised.value)
    assert status is not None
    return status


async def prepared(pair: Pair, url: str) -> Scene:
    """
    Bring everything into its state.
    """
    await _create_resources(pair)
    references = {
        "credential": named("credentials", "used"),
        "client_certificate": named("clientCertificates", "used"),
        "signing_key": named("signingKeys", "used"),
    }
    for subscription, more in {"used": references, "asleep": {}, "gone": {}}.items():
        await _subscribe(pair, subscription, url, more)
    await pair.known(*(named("subscriptions", it) for it in ("used", "asleep", "gone")))
    await pair.publish(shipped(KNOWN_EVENT), shipped(ERASED_EVENT))
    scene = Scene(pair, await _all_succeeded(pair, 6))
    await _end_jobs(scene)
    admin = dispatch_admin_service_pb2_grpc.DispatchAdminServiceStub(pair.channels[DISPATCH])
    await admin.EraseCustomerData(
        dispatch_admin_service_pb2.EraseCustomerDataRequest(parent=OWNER, event_id=ERASED_EVENT)
    )
    gone = config.DeleteSubscriptionRequest(name=named("subscriptions", "gone"))
    await pair.config.DeleteSubscription(gone)
    await pair.set_status(named("subscriptions", "asleep"), Subscription.STATUS_INACTIVE)
    return scene


async def _create_resources(pair: Pair) -> None:
    bearer: Any = {"bearer": {"token": "a-token-of-a-receiver"}}
    await pair.config.CreateCredential(
        config.CreateCredentialRequest(
            parent=OWNER,
            credential=Credential(display_name="used", **bearer),
            credential_id="used",
        )
    )
    await pair.config.CreateClientCertificate(
        config.CreateClientCertificateRequest(
            parent=OWNER, client_certificate=certificate(), client_certificate_id="used"
        )
    )
    await pair.config.CreateSigningKey(
        CreateSigningKeyRequest(
            parent=OWNER, signing_key=SigningKey(display_name="used"), signing_key_id="used"
        )
    )


async def _subscribe(pair: Pair, name: str, url: str, more: dict[str, str]) -> None:
    values: dict[str, Any] = {"event_type": "orders/shipped", "payload_version": "v2", "url": url}
    values |= {"status": Subscription.STATUS_ACTIVE, **more}
    wanted = Subscription(**values)
    await pair.config.CreateSubscription(
        config.CreateSubscriptionRequest(parent=OWNER, subscription=wanted, subscription_id=name)
    )


async def _all_succeeded(pair: Pair, count: int) -> dict[tuple[str, str], str]:
    """
    Wait until *count* deliveries have succeeded; return their names by subscription and event.
    """
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            found = await pair.log_of()
            if [it.state for it in found] == [delivery_pb2.Delivery.STATE_SUCCEEDED] * count:
                return {(_id(it.subscription), _id(it.event)): it.name for it in found}
            await asyncio.sleep(0.05)


def _id(name: str) -> str:
    return name.rpartition("/")[2]


async def _end_jobs(scene: Scene) -> None:
    """
    Begin a job of each kind that has nothing to do, and wait until both have ended.
    """
    calls = scene.pair.deliveries
    resend = await calls.ResendDeliveries(dispatch.ResendDeliveriesRequest(parent=OWNER))
    replay = await calls.ReplayEvents(
        dispatch.ReplayEventsRequest(subscription=named("subscriptions", "used"))
    )
    scene.resend_job, scene.replay_job = resend.name, replay.name
    get_resend = dispatch.GetResendJobRequest(name=resend.name)
    get_replay = dispatch.GetReplayJobRequest(name=replay.name)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while resend.state == resend_job_pb2.ResendJob.STATE_RUNNING:
            await asyncio.sleep(0.05)
            resend = await calls.GetResendJob(get_resend)
        while replay.state == replay_job_pb2.ReplayJob.STATE_RUNNING:
            await asyncio.sleep(0.05)
            replay = await calls.GetReplayJob(get_replay)
