"""
Calls that the config service refuses, by the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from google.protobuf.field_mask_pb2 import FieldMask

from config_service.store.feed import pages
from config_service.store.schema import feed_history
from service_runtime.database.engine import create_engine, reading
from shipedge.webhooks.config.v1 import config_admin_service_pb2 as admin_pb
from shipedge.webhooks.config.v1 import config_service_pb2 as pb
from shipedge.webhooks.config.v1.caller_pb2 import Caller
from shipedge.webhooks.config.v1.client_certificate_pb2 import ClientCertificate, PemMaterial
from shipedge.webhooks.config.v1.credential_pb2 import Credential
from shipedge.webhooks.config.v1.signing_key_pb2 import (
    CreateSigningKeyRequest,
    DeleteSigningKeyRequest,
    GetSigningKeyRequest,
    SigningKey,
)
from shipedge.webhooks.config.v1.subscription_pb2 import CustomHeader, Subscription
from shipedge.webhooks.feed.v1 import feed_service_pb2, feed_service_pb2_grpc
from tests.support.pair import CONFIG
from tests.support.provocations.scene import OTHER_OWNER, OWNER, Scene, certificate, named

REQUEST_ID = "0190f3a0-0000-7000-8000-000000000000"


def wanted(**over: Any) -> Subscription:
    """
    Make a subscription that may be created.
    """
    values: dict[str, Any] = {
        "event_type": "orders/shipped",
        "payload_version": "v2",
        "url": "https://example.com/hooks",
        "status": Subscription.STATUS_ACTIVE,
    }
    return Subscription(**(values | over))


def created(scene: Scene, subscription: Subscription, **more: Any) -> Any:
    """
    Begin to create a subscription.
    """
    request = pb.CreateSubscriptionRequest(parent=OWNER, subscription=subscription, **more)
    return scene.pair.config.CreateSubscription(request)


def _updated(scene: Scene, *paths: str, **values: Any) -> Any:
    changed = Subscription(name=named("subscriptions", "used"), **values)
    mask = FieldMask(paths=paths)
    request = pb.UpdateSubscriptionRequest(subscription=changed, update_mask=mask)
    return scene.pair.config.UpdateSubscription(request)


def _uploaded(
    scene: Scene, uploaded: ClientCertificate, name: str = "used", owner: str = OWNER
) -> Any:
    return scene.pair.config.CreateClientCertificate(
        pb.CreateClientCertificateRequest(
            parent=owner, client_certificate=uploaded, client_certificate_id=name
        )
    )


def _credential(scene: Scene) -> Any:
    bearer: Any = {"bearer": {"token": "a-token-of-a-receiver"}}
    return scene.pair.config.CreateCredential(
        pb.CreateCredentialRequest(
            parent=OWNER, credential=Credential(display_name="x", **bearer), credential_id="used"
        )
    )


def _signing_key(scene: Scene) -> Any:
    return scene.pair.config.CreateSigningKey(
        CreateSigningKeyRequest(
            parent=OWNER, signing_key=SigningKey(display_name="x"), signing_key_id="used"
        )
    )


def _caller(scene: Scene, caller_id: str = "back-office") -> Any:
    caller = Caller(
        display_name="x",
        roles=[Caller.ROLE_READER],
        owners=[OWNER],
        certificate_identity=f"{caller_id}.example.com",
    )
    return scene.callers.CreateCaller(
        admin_pb.CreateCallerRequest(caller=caller, caller_id=caller_id)
    )


async def _known_caller(scene: Scene) -> None:
    await _caller(scene)
    await _caller(scene)


async def _token_of_certificate(scene: Scene) -> None:
    made = await _caller(scene, "front-office")
    await scene.callers.RotateCallerToken(admin_pb.RotateCallerTokenRequest(name=made.name))


async def _two_requests_of_one_id(scene: Scene) -> None:
    await created(scene, wanted(), request_id=REQUEST_ID)
    await created(scene, wanted(url="https://example.com/other"), request_id=REQUEST_ID)


async def _certificate_over_the_limit(scene: Scene) -> None:
    await _uploaded(scene, certificate(), "first", OTHER_OWNER)
    await _uploaded(scene, certificate(), "second", OTHER_OWNER)


async def _watched(scene: Scene, revision: int, digest: bytes) -> None:
    feed: Any = feed_service_pb2_grpc.FeedServiceStub(scene.pair.channels[CONFIG])
    call = feed.WatchConfiguration()
    await call.write(
        feed_service_pb2.WatchConfigurationRequest(
            replica="test", after_revision=revision, digest=digest
        )
    )
    await call.read()


async def _feed_after_forgotten_deletions(scene: Scene) -> None:
    path = Path(scene.pair.environment["SHIPEDGE_DATA_DIR"]) / "config.db"
    engine = create_engine(f"sqlite:///{path}", application_name="tests")
    first = sa.select(feed_history).order_by(feed_history.c.revision).limit(1)
    async with reading(engine) as db:
        begin = (await db.execute(first)).one()
    assert await pages.compact(engine, timedelta(seconds=-1)) > 0
    await engine.dispose()
    await _watched(scene, begin.revision, begin.digest)


CALLS: Mapping[str, Callable[[Scene], Any]] = {
    "FIELD_INVALID": lambda it: it.pair.config.ListSubscriptions(
        pb.ListSubscriptionsRequest(parent=OWNER, page_size=-1)
    ),
    "EVENT_TYPE_UNKNOWN": lambda it: created(it, wanted(event_type="orders/sent")),
    "PAYLOAD_VERSION_UNKNOWN": lambda it: created(it, wanted(payload_version="v9")),
    "FILTER_INVALID": lambda it: created(it, wanted(event_type="orders/shipped_by_store")),
    "URL_INVALID": lambda it: created(it, wanted(url="ftp://example.com")),
    "HEADER_INVALID": lambda it: created(
        it, wanted(custom_headers=[CustomHeader(name="Host", value="x")])
    ),
    "CERTIFICATE_INVALID": lambda it: _uploaded(
        it,
        ClientCertificate(
            display_name="x",
            pem=PemMaterial(
                certificate_chain=certificate().pem.certificate_chain, private_key="none"
            ),
        ),
        "other",
    ),
    "SUBSCRIPTION_NOT_FOUND": lambda it: it.pair.config.GetSubscription(
        pb.GetSubscriptionRequest(name=named("subscriptions", "none"))
    ),
    "CREDENTIAL_NOT_FOUND": lambda it: it.pair.config.GetCredential(
        pb.GetCredentialRequest(name=named("credentials", "none"))
    ),
    "CLIENT_CERTIFICATE_NOT_FOUND": lambda it: it.pair.config.GetClientCertificate(
        pb.GetClientCertificateRequest(name=named("clientCertificates", "none"))
    ),
    "SIGNING_KEY_NOT_FOUND": lambda it: it.pair.config.GetSigningKey(
        GetSigningKeyRequest(name=named("signingKeys", "none"))
    ),
    "EVENT_TYPE_NOT_FOUND": lambda it: it.pair.config.GetEventType(
        pb.GetEventTypeRequest(name="eventTypes/orders/sent")
    ),
    "CALLER_NOT_FOUND": lambda it: it.callers.GetCaller(
        admin_pb.GetCallerRequest(name="callers/nobody")
    ),
    "SUBSCRIPTION_EXISTS": lambda it: created(it, wanted(), subscription_id="used"),
    "CREDENTIAL_EXISTS": _credential,
    "CLIENT_CERTIFICATE_EXISTS": lambda it: _uploaded(it, certificate()),
    "SIGNING_KEY_EXISTS": _signing_key,
    "CALLER_EXISTS": _known_caller,
    "CALLER_USES_CERTIFICATE": _token_of_certificate,
    "REQUEST_ID_REUSED": _two_requests_of_one_id,
    "FEATURE_MISSING": lambda it: created(
        it, wanted(event_type="inventory/mirror", payload_version="v3")
    ),
    "SUBSCRIPTION_NOT_DELETED": lambda it: it.pair.config.UndeleteSubscription(
        pb.UndeleteSubscriptionRequest(name=named("subscriptions", "used"))
    ),
    "CREDENTIAL_IN_USE": lambda it: it.pair.config.DeleteCredential(
        pb.DeleteCredentialRequest(name=named("credentials", "used"))
    ),
    "CLIENT_CERTIFICATE_IN_USE": lambda it: it.pair.config.DeleteClientCertificate(
        pb.DeleteClientCertificateRequest(name=named("clientCertificates", "used"))
    ),
    "PORTAL_LINKS_NOT_OFFERED": lambda it: it.pair.config.CreatePortalLink(
        pb.CreatePortalLinkRequest(parent=OWNER, role=Caller.ROLE_READER)
    ),
    "SIGNING_KEY_IN_USE": lambda it: it.pair.config.DeleteSigningKey(
        DeleteSigningKeyRequest(name=named("signingKeys", "used"))
    ),
    "ETAG_MISMATCH": lambda it: _updated(it, "description", description="x", etag="stale"),
    "SECRET_REQUIRED": lambda it: _updated(it, "url", url="https://elsewhere.example.com/"),
    "OWNER_LIMIT_REACHED": _certificate_over_the_limit,
    "HISTORY_DIFFERS": lambda it: _watched(it, 1, b"of another database"),
    "REVISION_COMPACTED": _feed_after_forgotten_deletions,
}
"""
What to call for each reason. Calls that change something come after those that need it unchanged.
"""
