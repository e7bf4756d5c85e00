"""
Subscriptions whose URL has to answer a challenge, on SQLite and on PostgreSQL alike.
"""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from shipedge.webhooks.config.v1 import config_service_pb2 as pb
from shipedge.webhooks.config.v1.config_admin_service_pb2 import ListAuditEntriesRequest
from shipedge.webhooks.config.v1.endpoint_event_pb2 import EndpointEvent
from shipedge.webhooks.config.v1.subscription_pb2 import EndpointHealth, Subscription
from tests.integration.config_service.conftest import Running
from tests.integration.config_service.store.test_feed import (
    next_change,
    report,
    reported,
    snapshot,
    watch,
)
from tests.support.config_calls import OWNER, create, wanted

pytestmark = pytest.mark.anyio

ACTIVE, INACTIVE = Subscription.STATUS_ACTIVE, Subscription.STATUS_INACTIVE
MANUAL, UNVERIFIED = (
    Subscription.STATUS_REASON_MANUAL,
    Subscription.STATUS_REASON_UNVERIFIED,
)
VERIFIED, NOT_VERIFIED = EndpointEvent.KIND_URL_VERIFIED, EndpointEvent.KIND_URL_NOT_VERIFIED
OTHER_URL = "https://example.com/other"


def state(it: Subscription) -> tuple[int, int]:
    """
    Return status and reason.
    """
    return it.status, it.status_reason


async def update(running: Running, made: Subscription, *paths: str, **values: Any) -> Subscription:
    """
    Update fields, those in *paths* or, without any, those that are set.
    """
    request = pb.UpdateSubscriptionRequest(
        subscription=Subscription(name=made.name, **values),
        update_mask=FieldMask(paths=paths) if paths else None,
    )
    return await running.config.UpdateSubscription(request)


async def answered(running: Running, made: Subscription, kind: Any, **over: Any) -> Subscription:
    """
    Report what the URL of a subscription did; return the subscription.
    """
    identifier = f"{kind}-{made.revision}"
    await reported(running, report(made, kind, endpoint_event_id=identifier, **over))
    return await running.config.GetSubscription(pb.GetSubscriptionRequest(name=made.name))


async def test_subscription_is_active_once_its_url_has_answered(running: Running) -> None:
    """
    The feed says so to the dispatch service, before and after; the audit log says who it was.
    """
    made = await create(running, verify_url=True)
    assert (state(made), made.verify_url) == ((INACTIVE, UNVERIFIED), True)
    stream = watch(running)
    _, position = await snapshot(stream)
    failed = await answered(running, made, NOT_VERIFIED, failure_kind=0, detail="HTTP 404")
    assert state(failed) == (INACTIVE, UNVERIFIED)
    assert failed.endpoint_health.state == EndpointHealth.STATE_UNVERIFIED

    again = await update(running, made, "verify_url", verify_url=True)
    assert state(again) == (INACTIVE, UNVERIFIED)
    assert again.revision > made.revision
    assert state(await answered(running, made, VERIFIED)) == (INACTIVE, UNVERIFIED)
    verified = await answered(running, again, VERIFIED)
    assert state(verified) == (ACTIVE, MANUAL)
    assert verified.endpoint_health.state == EndpointHealth.STATE_HEALTHY

    changes = [it for it in (await next_change(stream)).changes if it.HasField("subscription")]
    newest = changes[-1]
    if newest.subscription.subscription.status != ACTIVE:
        newest = (await next_change(watch(running, position))).changes[-1]
    assert newest.subscription.subscription.status == ACTIVE
    assert newest.HasField("matches_since")
    audit = await running.admin.ListAuditEntries(ListAuditEntriesRequest(parent=OWNER, page_size=1))
    (entry,) = audit.audit_entries
    assert (entry.method, entry.caller) == ("ReportEndpointEvents", "system")
    assert [it.after for it in entry.changes] == ['"STATUS_ACTIVE"', '"STATUS_REASON_MANUAL"']


async def test_another_url_is_asked_too(running: Running) -> None:
    """
    If that was asked for; a URL that has answered is not asked again, other changes ask nothing.
    """
    made = await create(running, verify_url=True, custom_headers=[])
    verified = await answered(running, made, VERIFIED)
    renamed = await update(running, verified, description="mine", verify_url=True)
    assert state(renamed) == (ACTIVE, MANUAL)
    moved = await update(running, verified, url=OTHER_URL)
    assert state(moved) == (INACTIVE, UNVERIFIED)
    back = await update(running, verified, url=wanted().url)
    assert state(back) == (ACTIVE, MANUAL)

    free = await create(running, custom_headers=[])
    assert state(await update(running, free, url=OTHER_URL)) == (ACTIVE, MANUAL)
    assert state(await update(running, free, verify_url=True)) == (INACTIVE, UNVERIFIED)


@pytest.mark.parametrize(
    ("paths", "values", "expected"),
    [
        (["status"], {"status": INACTIVE}, (INACTIVE, MANUAL)),
        (["status"], {"status": ACTIVE}, (INACTIVE, UNVERIFIED)),
        ([], {"status": INACTIVE, "description": "read and written"}, (INACTIVE, UNVERIFIED)),
        (["verify_url"], {"verify_url": False}, (ACTIVE, MANUAL)),
        (["description"], {"description": "mine"}, (INACTIVE, UNVERIFIED)),
    ],
)
async def test_changes_while_it_waits(
    running: Running, paths: list[str], values: dict[str, Any], expected: tuple[int, int]
) -> None:
    """
    Each asks again, but for one that sets it Inactive or asks for no answer any more.
    """
    made = await create(running, verify_url=True)
    changed = await update(running, made, *paths, **values)
    assert state(changed) == expected
    assert changed.revision > made.revision
    if expected == (INACTIVE, MANUAL):
        assert state(await answered(running, changed, VERIFIED)) == expected


async def test_inactive_ones_are_not_asked(running: Running) -> None:
    """
    Until they are to be Active. A check alone, and each of a batch, says what would be.
    """
    made = await create(running, verify_url=True, status=INACTIVE)
    assert state(made) == (INACTIVE, MANUAL)
    assert state(await update(running, made, status=ACTIVE)) == (INACTIVE, UNVERIFIED)
    request = pb.CreateSubscriptionRequest(
        parent=OWNER, subscription=wanted(verify_url=True), validate_only=True
    )
    assert state(await running.config.CreateSubscription(request)) == (INACTIVE, UNVERIFIED)
    batch = pb.BatchCreateSubscriptionsRequest(
        parent=OWNER,
        requests=[
            pb.CreateSubscriptionRequest(subscription=wanted(verify_url=True)),
            pb.CreateSubscriptionRequest(subscription=wanted(payload_version="v3")),
        ],
    )
    found = (await running.config.BatchCreateSubscriptions(batch)).subscriptions
    assert list(map(state, found)) == [(INACTIVE, UNVERIFIED), (ACTIVE, MANUAL)]


async def test_deleted_one_still_waits_when_it_is_back(running: Running) -> None:
    """
    An answer that came meanwhile counts for nothing.
    """
    made = await create(running, verify_url=True)
    await running.config.DeleteSubscription(pb.DeleteSubscriptionRequest(name=made.name))
    assert state(await answered(running, made, VERIFIED)) == (INACTIVE, UNVERIFIED)
    request = pb.UndeleteSubscriptionRequest(name=made.name)
    back = await running.config.UndeleteSubscription(request)
    assert state(back) == (INACTIVE, UNVERIFIED)
    assert state(await answered(running, back, VERIFIED)) == (ACTIVE, MANUAL)
