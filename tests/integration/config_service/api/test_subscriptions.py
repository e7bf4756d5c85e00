"""
Subscriptions over the wire, on SQLite and on PostgreSQL alike.
"""

from __future__ import annotations

import json
import re
import uuid
from typing import Any

import pytest
import sqlalchemy as sa
from google.protobuf.field_mask_pb2 import FieldMask

from config_service.rules.signing_keys import verification_key
from config_service.store.schema import audit_entries, metadata
from shipedge.webhooks.config.v1 import config_service_pb2 as pb
from shipedge.webhooks.config.v1.subscription_pb2 import (
    CustomHeader,
    Subscription,
    SubscriptionFilter,
)
from shipedge.webhooks.feed.v1 import (
    feed_service_pb2,
)
from tests.integration.config_service.conftest import Running
from tests.support.config_calls import OWNER, create, error, wanted

pytestmark = pytest.mark.anyio


async def test_life_of_a_subscription(running: Running) -> None:
    """
    Created, read, changed, deleted, brought back.
    """
    made = await create(running)
    assert made.name.startswith(f"{OWNER}/subscriptions/sub_")
    assert made.topic == "orders/shipped_v2"

    got = await running.config.GetSubscription(pb.GetSubscriptionRequest(name=made.name))
    assert got.url == "https://example.com/hooks?token=marker-in-url"

    changed = await running.config.UpdateSubscription(
        pb.UpdateSubscriptionRequest(
            subscription=Subscription(name=made.name, payload_version="v3", url="ignored"),
            update_mask=FieldMask(paths=["payload_version"]),
        )
    )
    assert (changed.payload_version, changed.url) == ("v3", got.url)
    assert changed.revision > made.revision

    deleted = await running.config.DeleteSubscription(pb.DeleteSubscriptionRequest(name=made.name))
    assert deleted.HasField("delete_time")
    assert deleted.HasField("purge_time")
    listed = await running.config.ListSubscriptions(pb.ListSubscriptionsRequest(parent=OWNER))
    assert list(listed.subscriptions) == []

    undelete = pb.UndeleteSubscriptionRequest(name=made.name)
    back = await running.config.UndeleteSubscription(undelete)
    assert not back.HasField("delete_time")
    again = await error(running.config.UndeleteSubscription(undelete))
    assert again.reason == "SUBSCRIPTION_NOT_DELETED"


async def test_secret_is_shown_once(running: Running) -> None:
    """
    Only creating and rotating show a signing secret; header values are never shown.
    """
    made = await create(running)
    assert made.signing_secret.startswith("whsec_")
    assert (made.custom_headers[0].value, made.custom_headers[0].value_set) == ("", True)

    got = await running.config.GetSubscription(pb.GetSubscriptionRequest(name=made.name))
    assert got.signing_secret == ""
    assert got.signing_secrets[0].secret_id == made.signing_secrets[0].secret_id

    rotated = await running.config.RotateSigningSecret(
        pb.RotateSigningSecretRequest(name=made.name)
    )
    assert rotated.signing_secret not in {"", made.signing_secret}
    newest, oldest = rotated.signing_secrets
    assert oldest.secret_id == got.signing_secrets[0].secret_id
    assert oldest.HasField("expire_time")
    assert not newest.HasField("expire_time")


@pytest.mark.slow
async def test_large_page_ends_early(running: Running) -> None:
    """
    A page stays below what clients receive by default; the rest is on the next.
    """
    headers = [CustomHeader(name=f"X-{number}-{'n' * 55}", value="v" * 700) for number in range(20)]
    skus = [f"{number}-{'s' * 60}" for number in range(1000)]
    for _ in range(60):
        await create(
            running,
            event_type="orders/shipped_items",
            custom_headers=headers,
            filter=SubscriptionFilter(skus=skus),
        )
    seen, token = 0, ""
    while True:
        answer = await running.config.ListSubscriptions(
            pb.ListSubscriptionsRequest(parent=OWNER, page_size=1000, page_token=token)
        )
        assert answer.ByteSize() < 4 * 1024 * 1024
        seen += len(answer.subscriptions)
        token = answer.next_page_token
        if not token:
            break
    assert seen == 60


async def test_verification_key_is_shown_where_asked_for(running: Running) -> None:
    """
    With asymmetric signatures each secret has a key that receivers verify with; its
    private half is in the feed alone.
    """
    made = await create(running, asymmetric_signature=True)
    (secret,) = made.signing_secrets
    assert secret.verification_key.startswith("whpk_")
    request = feed_service_pb2.WatchConfigurationRequest(replica="test")
    async for answer in running.feed.WatchConfiguration(iter([request])):
        if answer.changes:
            (fed,) = answer.changes[0].subscription.signing_secrets
            break
    assert verification_key(fed.signing_key) == secret.verification_key

    plain = await create(running)
    assert plain.signing_secrets[0].verification_key == ""


async def test_rotation_without_grace(running: Running) -> None:
    """
    A grace period of nothing ends the old secret at once.
    """
    made = await create(running)
    request = pb.RotateSigningSecretRequest(name=made.name)
    request.grace_period.SetInParent()

    rotated = await running.config.RotateSigningSecret(request)

    assert len(rotated.signing_secrets) == 1


async def test_nothing_secret_in_any_row(running: Running) -> None:
    """
    URL, header values and signing secrets do not show in the database, nor in the audit log.
    """
    made = await create(running)
    await running.config.UpdateSubscription(
        pb.UpdateSubscriptionRequest(
            subscription=wanted(name=made.name, url="https://example.com/?other=marker-in-url")
        )
    )

    stored = []
    async with running.engine.connect() as db:
        for table in metadata.sorted_tables:
            stored += [str(tuple(row)) for row in await db.execute(sa.select(table))]
    everything = "".join(stored)
    assert len(stored) > 4
    assert "marker-in" not in everything
    assert made.signing_secret.removeprefix("whsec_") not in everything


async def test_changes_are_audited(running: Running) -> None:
    """
    Who, what, before and after; of secrets only that they changed.
    """
    made = await create(running)
    await running.config.UpdateSubscription(
        pb.UpdateSubscriptionRequest(
            subscription=Subscription(
                name=made.name, payload_version="v3", url="https://example.com/new"
            )
        )
    )

    async with running.engine.connect() as db:
        query = sa.select(audit_entries).order_by(audit_entries.c.audit_entry_id)
        created, updated = (await db.execute(query)).all()
    assert (created.method, created.caller) == ("CreateSubscription", "callers/development")
    changes = {it["field"]: it for it in json.loads(updated.changes)}
    assert set(changes) == {"payload_version", "url"}
    assert (changes["payload_version"]["before"], changes["payload_version"]["after"]) == (
        '"v2"',
        '"v3"',
    )
    shown = [json.loads(changes["url"][it]) for it in ("before", "after")]
    assert all(re.fullmatch("https://example.com/…#[0-9a-f]{8}", url) for url in shown)
    assert shown[0] != shown[1]


async def test_header_value_that_is_left_out_stays(running: Running) -> None:
    """
    Headers can be renamed around without typing their values again.
    """
    made = await create(running)
    headers = [CustomHeader(name="authorization"), CustomHeader(name="X-New", value="x")]
    update = pb.UpdateSubscriptionRequest(
        subscription=Subscription(name=made.name, custom_headers=headers)
    )

    changed = await running.config.UpdateSubscription(update)
    assert [it.value_set for it in changed.custom_headers] == [True, True]

    update.subscription.custom_headers[0].name = "X-Unknown"
    refused = await error(running.config.UpdateSubscription(update))
    assert refused.faults[0].field == "subscription.custom_headers[0].value"


async def test_limits_are_removed_without_a_mask(running: Running) -> None:
    """
    A 0 or false that is set changes the field, also without a mask; one that is not set does not.
    """
    limits: dict[str, Any] = {"ordered": True, "max_concurrency": 3, "rate_limit": 5}
    made = await create(running, **limits)

    async def updated(**values: Any) -> Subscription:
        change = Subscription(name=made.name, **values)
        request = pb.UpdateSubscriptionRequest(subscription=change)
        return await running.config.UpdateSubscription(request)

    kept = await updated(description="x")
    assert (kept.ordered, kept.max_concurrency, kept.rate_limit) == (True, 3, 5)
    removed = await updated(ordered=False, max_concurrency=0, rate_limit=0)
    assert (removed.ordered, removed.max_concurrency, removed.rate_limit) == (False, 0, 0)
    assert not removed.HasField("rate_limit")


async def test_etag(running: Running) -> None:
    """
    A stale etag is refused on update and delete.
    """
    made = await create(running)
    stale = Subscription(name=made.name, description="x", etag='"r0"')

    update = await error(
        running.config.UpdateSubscription(pb.UpdateSubscriptionRequest(subscription=stale))
    )
    delete = await error(
        running.config.DeleteSubscription(pb.DeleteSubscriptionRequest(name=made.name, etag='"r0"'))
    )

    assert update.reason == delete.reason == "ETAG_MISMATCH"
    fresh = Subscription(name=made.name, description="x", etag=made.etag)
    await running.config.UpdateSubscription(pb.UpdateSubscriptionRequest(subscription=fresh))


async def test_request_id(running: Running) -> None:
    """
    A repeated creation gets the first subscription again, without the secret.
    """
    request = pb.CreateSubscriptionRequest(
        parent=OWNER, subscription=wanted(), request_id=str(uuid.uuid4())
    )
    first = await running.config.CreateSubscription(request)
    again = await running.config.CreateSubscription(request)
    assert (again.name, again.signing_secret) == (first.name, "")

    request.subscription.payload_version = "v1"
    other = await error(running.config.CreateSubscription(request))
    assert other.reason == "REQUEST_ID_REUSED"
    request.request_id = "no uuid"
    wrong = await error(running.config.CreateSubscription(request))
    assert wrong.faults[0].field == "request_id"


async def test_chosen_ids(running: Running) -> None:
    """
    An id may be chosen once, and must look like one.
    """
    request = pb.CreateSubscriptionRequest(
        parent=OWNER, subscription=wanted(), subscription_id="shipped-orders"
    )
    made = await running.config.CreateSubscription(request)
    assert made.name == f"{OWNER}/subscriptions/shipped-orders"

    taken = await error(running.config.CreateSubscription(request))
    assert taken.reason == "SUBSCRIPTION_EXISTS"
    request.subscription_id = "No"
    wrong = await error(running.config.CreateSubscription(request))
    assert wrong.faults[0].field == "subscription_id"


async def test_validate_only_changes_nothing(running: Running) -> None:
    """
    A check is only a check.
    """
    request = pb.CreateSubscriptionRequest(parent=OWNER, subscription=wanted(), validate_only=True)
    answer = await running.config.CreateSubscription(request)
    assert (answer.name, answer.signing_secret) == ("", "")
    assert answer.custom_headers[0].value == ""

    listed = await running.config.ListSubscriptions(pb.ListSubscriptionsRequest(parent=OWNER))
    assert list(listed.subscriptions) == []


@pytest.mark.slow
async def test_pages(running: Running) -> None:
    """
    A long list comes in pages, each subscription once, oldest first.
    """
    made = [(await create(running, f"accounts/{n % 3 + 1}")).name for n in range(24)]
    request = pb.ListSubscriptionsRequest(parent="accounts/-", page_size=10)
    seen = []
    while True:
        page = await running.config.ListSubscriptions(request)
        seen += [it.name for it in page.subscriptions]
        request.page_token = page.next_page_token
        if not request.page_token:
            break

    assert seen == made


async def test_filters(running: Running) -> None:
    """
    Lists are filtered by what stands beside the sealed columns, and by the full URL.
    """
    shipped = await create(running)
    refund = await create(running, event_type="orders/refund", url="https://example.org/")
    inactive = await create(running, status=Subscription.STATUS_INACTIVE)

    async def found(where: str) -> set[str]:
        request = pb.ListSubscriptionsRequest(parent=OWNER, filter=where)
        return {it.name for it in (await running.config.ListSubscriptions(request)).subscriptions}

    assert await found('event_type = "orders/refund"') == {refund.name}
    assert await found("status = ACTIVE") == {shipped.name, refund.name}
    assert await found('url = "HTTPS://EXAMPLE.ORG"') == {refund.name}
    assert await found('event_type != "orders/refund" AND status = INACTIVE') == {inactive.name}


async def test_owners_are_apart(running: Running) -> None:
    """
    A warehouse's subscriptions are not an account's.
    """
    made = await create(running, "warehouses/wh1")

    other = made.name.replace("warehouses/wh1", OWNER)
    missing = await error(running.config.GetSubscription(pb.GetSubscriptionRequest(name=other)))

    assert (missing.code, missing.reason) == ("NOT_FOUND", "SUBSCRIPTION_NOT_FOUND")


async def test_missing_credential(running: Running) -> None:
    """
    A reference must lead somewhere.
    """
    refused = await error(
        create(running, credential=f"{OWNER}/credentials/crd_1", custom_headers=[])
    )

    assert refused.faults[0].field == "subscription.credential"


async def test_secrets_do_not_go_to_another_host_unless_given(running: Running) -> None:
    """
    A new host needs the values of custom headers again; refused updates change nothing.
    """
    made = await create(running)
    moved = Subscription(name=made.name, url="https://example.org/hooks")

    failed = await error(
        running.config.UpdateSubscription(pb.UpdateSubscriptionRequest(subscription=moved))
    )

    assert (failed.code, failed.reason) == ("INVALID_ARGUMENT", "SECRET_REQUIRED")
    assert failed.metadata == {"fields": "subscription.custom_headers[0].value"}
    got = await running.config.GetSubscription(pb.GetSubscriptionRequest(name=made.name))
    assert got.url == made.url
    moved.custom_headers.extend(wanted().custom_headers)
    changed = await running.config.UpdateSubscription(
        pb.UpdateSubscriptionRequest(subscription=moved)
    )
    assert changed.url == "https://example.org/hooks"
