"""
Signing keys, batches of subscriptions, and what is refused or warned of, on SQLite and on
PostgreSQL alike.
"""

from __future__ import annotations

import base64
import uuid
from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from config_service.store import subscription_store
from config_service.store.store import Sealing
from config_service.store.subscription_rows import stored_config
from service_runtime.database.engine import writing
from service_runtime.keys.keyring import KeyRing
from service_runtime.rpc import names
from service_runtime.rules.urls import UrlRules
from shipedge.webhooks.config.v1 import config_service_pb2 as pb
from shipedge.webhooks.config.v1 import signing_key_pb2 as keys
from shipedge.webhooks.config.v1.credential_pb2 import Credential
from shipedge.webhooks.config.v1.subscription_pb2 import CustomHeader, Subscription
from tests.integration.config_service.api.test_credentials import certified
from tests.integration.config_service.conftest import Running
from tests.integration.config_service.store.test_feed import watch
from tests.support.config_calls import OWNER, create, error, wanted

pytestmark = pytest.mark.anyio

BROUGHT = f"whsec_{base64.b64encode(b'b' * 32).decode()}"


async def new_key(running: Running, secret: str = "", **over: Any) -> keys.SigningKey:
    """
    Create a signing key.
    """
    given = keys.SigningKey(display_name="shop", secret=secret)
    request = keys.CreateSigningKeyRequest(parent=OWNER, signing_key=given, **over)
    return await running.config.CreateSigningKey(request)


async def fed_secrets(running: Running, name: str) -> list[str]:
    """
    Return the secrets of a signing key in the feed, newest first.
    """
    found = []
    async for answer in watch(running):
        found += [it.signing_key for it in answer.changes if it.HasField("signing_key")]
        if answer.snapshot_complete:
            break
    (mine,) = [it for it in found if it.signing_key.name == name]
    return [secret.secret for secret in mine.signing_secrets]


async def test_life_of_a_signing_key(running: Running) -> None:
    """
    Shown once, rotated with overlap, carried by the feed, not deleted while it is used.
    """
    use = {"request_id": str(uuid.uuid4())}
    made = await new_key(running, **use)
    assert made.secret.startswith("whsec_")
    assert made.signing_secrets[0].verification_key.startswith("whpk_")
    again = await new_key(running, **use)
    assert (again.name, again.secret) == (made.name, "")

    rotated = await running.config.RotateSigningKey(keys.RotateSigningKeyRequest(name=made.name))
    assert len(rotated.signing_secrets) == 2
    assert await fed_secrets(running, made.name) == [rotated.secret, made.secret]

    subscription = await create(running, signing_key=made.name)
    assert (subscription.signing_secret, len(subscription.signing_secrets)) == ("", 0)
    delete = keys.DeleteSigningKeyRequest(name=made.name)
    used = await error(running.config.DeleteSigningKey(delete))
    assert (used.reason, used.metadata["subscriptions"]) == ("SIGNING_KEY_IN_USE", "1")
    own = await running.config.UpdateSubscription(
        pb.UpdateSubscriptionRequest(
            subscription=Subscription(name=subscription.name),
            update_mask=FieldMask(paths=["signing_key"]),
        )
    )
    assert own.signing_secret.startswith("whsec_")
    await running.config.DeleteSigningKey(delete)
    gone = running.config.GetSigningKey(keys.GetSigningKeyRequest(name=made.name))
    assert (await error(gone)).reason == "SIGNING_KEY_NOT_FOUND"


async def test_secret_that_is_brought_along(running: Running) -> None:
    """
    It signs, and is never shown; one that the libraries cannot read is refused.
    """
    made = await new_key(running, BROUGHT, signing_key_id="shop-key")
    assert made.secret == ""
    assert await fed_secrets(running, made.name) == [BROUGHT]
    exists = await error(new_key(running, BROUGHT, signing_key_id="shop-key"))
    assert exists.reason == "SIGNING_KEY_EXISTS"
    listed = await running.config.ListSigningKeys(keys.ListSigningKeysRequest(parent=OWNER))
    assert [(it.name, it.secret) for it in listed.signing_keys] == [(made.name, "")]
    for wrong in ("secret", "whsec_short", BROUGHT[6:], BROUGHT + "!"):
        refused = await error(new_key(running, wrong))
        assert [it.field for it in refused.faults] == ["signing_key.secret"]


def batch(*given: Subscription, **over: Any) -> pb.BatchCreateSubscriptionsRequest:
    """
    Ask for several subscriptions.
    """
    requests = [pb.CreateSubscriptionRequest(subscription=it) for it in given]
    return pb.BatchCreateSubscriptionsRequest(parent=OWNER, requests=requests, **over)


async def test_batches_are_all_or_nothing(running: Running) -> None:
    """
    Faults of all are named by their requests; a repeated call creates nothing twice.
    """
    faulty = batch(wanted(), wanted(url="ftp://x"), wanted(payload_version="v9"))
    refused = await error(running.config.BatchCreateSubscriptions(faulty))
    assert [it.field for it in refused.faults] == [
        "requests[1].subscription.url",
        "requests[2].subscription.payload_version",
    ]
    empty = await running.config.ListSubscriptions(pb.ListSubscriptionsRequest(parent=OWNER))
    assert not empty.subscriptions

    request = batch(wanted(), wanted(payload_version="v3"), request_id=str(uuid.uuid4()))
    made = await running.config.BatchCreateSubscriptions(request)
    again = await running.config.BatchCreateSubscriptions(request)
    assert all(it.signing_secret for it in made.subscriptions)
    assert [it.name for it in again.subscriptions] == [it.name for it in made.subscriptions]
    for count in (0, 103):
        wrong = await error(running.config.BatchCreateSubscriptions(batch(*[wanted()] * count)))
        assert [it.field for it in wrong.faults] == ["requests"]
    many = await error(running.config.BatchCreateSubscriptions(batch(*[wanted()] * 59)))
    assert many.reason == "OWNER_LIMIT_REACHED"


async def test_identical_webhook_is_warned_of(running: Running) -> None:
    """
    In answers to changes alone.
    """
    first = await create(running)
    second = await create(running)
    assert not first.warnings
    assert first.name in second.warnings[0]
    assert not (await create(running, payload_version="v3")).warnings
    got = await running.config.GetSubscription(pb.GetSubscriptionRequest(name=second.name))
    assert not got.warnings


@pytest.mark.parametrize(
    ("over", "field"),
    [
        ({"signing_secret": BROUGHT}, "signing_secret"),
        ({"signing_key": "accounts/100/signingKeys/none"}, "signing_key"),
        ({"signing_key": "accounts/200/signingKeys/none"}, "signing_key"),
    ],
)
async def test_what_would_be_dropped_is_refused(
    running: Running, over: dict[str, Any], field: str
) -> None:
    """
    With the name of the field.
    """
    refused = await error(create(running, **over))
    assert [it.field for it in refused.faults] == [f"subscription.{field}"]


async def test_header_of_the_credential_is_refused(running: Running) -> None:
    """
    At the subscription, and where a credential in use would take the name of a custom header.
    """
    given: Any = {"api_key": {"header": "X-Key", "key": "k"}}
    made = await running.config.CreateCredential(
        pb.CreateCredentialRequest(
            parent=OWNER, credential=Credential(display_name="main", **given)
        )
    )
    headers = [CustomHeader(name="x-key", value="v")]
    refused = await error(create(running, credential=made.name, custom_headers=headers))
    assert [(it.field, it.reason) for it in refused.faults] == [
        ("subscription.custom_headers[0].name", "HEADER_INVALID")
    ]
    headers = [CustomHeader(name="X-Other", value="v")]
    await create(running, credential=made.name, custom_headers=headers)
    given = {"api_key": {"header": "x-other", "key": "k"}}
    update = pb.UpdateCredentialRequest(credential=Credential(name=made.name, **given))
    refused = await error(running.config.UpdateCredential(update))
    assert [it.field for it in refused.faults] == ["credential.api_key.header"]


async def test_undeleting_needs_the_signing_key(running: Running) -> None:
    """
    A deleted subscription keeps no signing key from being deleted.
    """
    key = await new_key(running)
    made = await create(running, signing_key=key.name)
    await running.config.DeleteSubscription(pb.DeleteSubscriptionRequest(name=made.name))
    await running.config.DeleteSigningKey(keys.DeleteSigningKeyRequest(name=key.name))
    undelete = pb.UndeleteSubscriptionRequest(name=made.name)
    refused = await error(running.config.UndeleteSubscription(undelete))
    assert [it.field for it in refused.faults] == ["subscription.signing_key"]


async def test_certificate_without_tls_is_refused(running: Running) -> None:
    """
    At creation and at changes, and where a subscription that is older than the rule is undeleted.
    """
    certificate = (await certified(running)).name
    made = await create(running, client_certificate=certificate)
    await stored_with_url(running, made.name, "http://example.com/hooks")
    await running.config.DeleteSubscription(pb.DeleteSubscriptionRequest(name=made.name))
    undelete = pb.UndeleteSubscriptionRequest(name=made.name)
    creating = create(running, client_certificate=certificate, url="http://example.com/hooks")
    for call in (creating, running.config.UndeleteSubscription(undelete)):
        fields = [it.field for it in (await error(call)).faults]
        assert "subscription.client_certificate" in fields

    await stored_with_url(running, made.name, "https://example.com/hooks")
    assert (await running.config.UndeleteSubscription(undelete)).client_certificate == certificate


async def stored_with_url(running: Running, name: str, url: str) -> None:
    """
    Give a subscription a URL as no rule had been there.
    """
    sealing = Sealing(KeyRing({"test": b"k" * 32}, b"h" * 32), UrlRules())
    async with writing(running.engine) as db:
        row = await subscription_store.find(db, *names.split(name))
        assert row is not None
        message = stored_config(row, sealing.ring)
        message.url = url
        await subscription_store.update_config(db, row, message, sealing)


async def test_credential_that_took_a_header_meanwhile(running: Running) -> None:
    """
    A deleted subscription does not come back beside a credential that sets its header now.
    """
    given: Any = {"api_key": {"header": "X-Key", "key": "k"}}
    made = await running.config.CreateCredential(
        pb.CreateCredentialRequest(
            parent=OWNER, credential=Credential(display_name="main", **given)
        )
    )
    headers = [CustomHeader(name="X-Other", value="v")]
    subscription = await create(running, credential=made.name, custom_headers=headers)
    await running.config.DeleteSubscription(pb.DeleteSubscriptionRequest(name=subscription.name))
    given = {"api_key": {"header": "x-other", "key": "k"}}
    update = pb.UpdateCredentialRequest(credential=Credential(name=made.name, **given))
    await running.config.UpdateCredential(update)

    undelete = pb.UndeleteSubscriptionRequest(name=subscription.name)
    refused = await error(running.config.UndeleteSubscription(undelete))
    assert [(it.field, it.reason) for it in refused.faults] == [
        ("subscription.custom_headers[0].name", "HEADER_INVALID")
    ]


async def test_certificate_is_refused_at_changes(running: Running) -> None:
    """
    Whichever of the two fields changes.
    """
    certificate = (await certified(running)).name
    made = await create(running, custom_headers=[], client_certificate=certificate)
    plain = await create(running)
    await stored_with_url(running, plain.name, "http://example.com/hooks")
    for changed in (
        Subscription(name=made.name, url="http://example.com/hooks"),
        Subscription(name=plain.name, client_certificate=certificate),
    ):
        update = pb.UpdateSubscriptionRequest(subscription=changed)
        fields = [
            it.field for it in (await error(running.config.UpdateSubscription(update))).faults
        ]
        assert "subscription.client_certificate" in fields
