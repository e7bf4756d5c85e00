"""
How endpoints are doing, and what is said of it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from dispatch_service.health.changes import EndpointChange, event_of, report_of
from dispatch_service.health.judge import Change, Health, Patience, failed, succeeded
from dispatch_service.payloads import render
from dispatch_service.routing.match import read_facts
from shipedge.webhooks.config.v1.endpoint_event_pb2 import EndpointEvent
from tests.support.dispatch_factories import subscription

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
PATIENCE = Patience(MINUTE, timedelta(hours=1))


def health(seconds: float, attempts: int, *, reported: bool = False) -> Health:
    """
    Make an endpoint that has been failing for a while.
    """
    return Health(NOW - timedelta(seconds=seconds), attempts, reported)


@pytest.mark.parametrize(
    ("before", "gone", "change"),
    [
        (None, False, None),
        (health(61, 1), False, None),  # only the second failure
        (health(59, 9), False, None),  # not for long enough
        (health(60, 2), False, Change.FAILING),
        (health(600, 50, reported=True), False, None),  # said before
        (health(3600, 50, reported=True), False, Change.DEACTIVATED),
        (health(3600, 1), False, Change.DEACTIVATED),
        (None, True, Change.GONE),
        (health(600, 50, reported=True), True, Change.GONE),
    ],
)
def test_failures(before: Health | None, gone: bool, change: Change | None) -> None:
    """
    Failures are counted; what is worth saying is said once.
    """
    after, found = failed(before, NOW, PATIENCE, gone=gone)

    assert found == change
    assert after.failed_attempts == (before.failed_attempts if before else 0) + 1
    assert after.failing_since == (before.failing_since if before else NOW)
    assert after.reported == (change is not None or (before is not None and before.reported))


def test_never_deactivates_unless_asked() -> None:
    """
    Without `deactivate_after` an endpoint may fail for ever.
    """
    _, change = failed(health(10**7, 999, reported=True), NOW, Patience(MINUTE), gone=False)

    assert change is None


@pytest.mark.parametrize(
    ("before", "change"),
    [(None, None), (health(600, 5), None), (health(600, 5, reported=True), Change.RECOVERED)],
)
def test_success(before: Health | None, change: Change | None) -> None:
    """
    Only who was told of the trouble is told of its end.
    """
    assert succeeded(before) == change


@pytest.mark.parametrize(
    ("change", "event_type", "kind"),
    [
        (Change.FAILING, "webhooks/endpoint_failing", EndpointEvent.KIND_FAILING),
        (Change.RECOVERED, "webhooks/endpoint_recovered", EndpointEvent.KIND_RECOVERED),
        (Change.GONE, "webhooks/endpoint_deactivated", EndpointEvent.KIND_GONE),
        (Change.DEACTIVATED, "webhooks/endpoint_deactivated", EndpointEvent.KIND_DEACTIVATED),
    ],
)
@pytest.mark.parametrize("owner", ["accounts/100", "warehouses/wh1"])
def test_change_is_a_report_and_a_webhook(
    change: Change, event_type: str, kind: EndpointEvent.Kind.ValueType, owner: str
) -> None:
    """
    A change is told to the config service and raises its event type for the owner.
    """
    told = EndpointChange(
        "id", subscription(owner=owner), change, NOW, health(90, 4), "timeout", 504
    )

    facts = read_facts(event_of(told))

    assert [it.event_type for it in facts.event_types] == [event_type]
    assert owner in facts.owners
    assert facts.resource == f"{owner}/subscriptions/shipped"
    assert report_of(told).kind == kind
    assert report_of(told).failing_since.ToDatetime(tzinfo=UTC) == NOW - timedelta(seconds=90)
    body = render(event_of(told), event_type, "v3")
    assert b'"failing_for_seconds":90' in body
    assert b'"response_code":504' in body


def test_endpoints_for_such_webhooks_raise_none() -> None:
    """
    The failures of a webhook about webhooks make no webhooks.
    """
    own = subscription(event_type="webhooks/endpoint_failing", payload_version="v3")

    assert not EndpointChange("id", own, Change.FAILING, NOW, None).raises_webhooks
    assert EndpointChange("id", subscription(), Change.FAILING, NOW, None).raises_webhooks
