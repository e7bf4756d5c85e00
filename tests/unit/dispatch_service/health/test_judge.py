"""
The health of endpoints, and the reports and events about it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from dispatch_service.health.changes import EndpointChange, event_of, report_of
from dispatch_service.health.judge import (
    FailurePolicy,
    FailureStreak,
    HealthChange,
    failed,
    succeeded,
)
from dispatch_service.payloads import render
from dispatch_service.routing.facts import read_facts
from shipedge.webhooks.config.v1.endpoint_event_pb2 import EndpointEvent
from tests.support.dispatch_factories import subscription

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
POLICY = FailurePolicy(MINUTE, timedelta(hours=1))


def streak(seconds: float, attempts: int, *, reported: bool = False) -> FailureStreak:
    """
    Return a streak of *attempts* failures, the first of them *seconds* ago.
    """
    return FailureStreak(NOW - timedelta(seconds=seconds), attempts, reported)


@pytest.mark.parametrize(
    ("before", "gone", "change"),
    [
        (None, False, None),
        (streak(61, 1), False, None),  # only the second failure
        (streak(59, 9), False, None),  # not for long enough
        (streak(60, 2), False, HealthChange.FAILING),
        (streak(600, 50, reported=True), False, None),  # reported before
        (streak(3600, 50, reported=True), False, HealthChange.DEACTIVATED),
        (streak(3600, 1), False, HealthChange.DEACTIVATED),
        (None, True, HealthChange.GONE),
        (streak(600, 50, reported=True), True, HealthChange.GONE),
    ],
)
def test_failures_are_reported_once(
    before: FailureStreak | None, gone: bool, change: HealthChange | None
) -> None:
    """
    Every failure is counted, and each change is reported once.
    """
    after, found = failed(before, NOW, POLICY, gone=gone)

    assert found == change
    assert after.failed_attempts == (before.failed_attempts if before else 0) + 1
    assert after.failing_since == (before.failing_since if before else NOW)
    assert after.reported == (change is not None or (before is not None and before.reported))


def test_never_deactivates_unless_asked() -> None:
    """
    Without `deactivate_after` an endpoint may fail for ever.
    """
    _, change = failed(streak(10**7, 999, reported=True), NOW, FailurePolicy(MINUTE), gone=False)

    assert change is None


@pytest.mark.parametrize(
    ("before", "change"),
    [(None, None), (streak(600, 5), None), (streak(600, 5, reported=True), HealthChange.RECOVERED)],
)
def test_success_is_reported_after_a_reported_failure(
    before: FailureStreak | None, change: HealthChange | None
) -> None:
    """
    A recovery is reported only if the failures were reported.
    """
    assert succeeded(before) == change


@pytest.mark.parametrize(
    ("change", "event_type", "kind"),
    [
        (HealthChange.FAILING, "webhooks/endpoint_failing", EndpointEvent.KIND_FAILING),
        (HealthChange.RECOVERED, "webhooks/endpoint_recovered", EndpointEvent.KIND_RECOVERED),
        (HealthChange.GONE, "webhooks/endpoint_deactivated", EndpointEvent.KIND_GONE),
        (HealthChange.DEACTIVATED, "webhooks/endpoint_deactivated", EndpointEvent.KIND_DEACTIVATED),
    ],
)
@pytest.mark.parametrize("owner", ["accounts/100", "warehouses/wh1"])
def test_change_is_a_report_and_an_event(
    change: HealthChange, event_type: str, kind: EndpointEvent.Kind.ValueType, owner: str
) -> None:
    """
    A change is reported to the config service and raises its event type for the owner.
    """
    endpoint_change = EndpointChange(
        "id", subscription(owner=owner), change, NOW, streak(90, 4), "timeout", 504
    )

    facts = read_facts(event_of(endpoint_change))

    assert [it.event_type for it in facts.event_types] == [event_type]
    assert owner in facts.owners
    assert facts.resource == f"{owner}/subscriptions/shipped"
    report = report_of(endpoint_change)
    assert report.kind == kind
    assert report.failing_start_time.ToDatetime(tzinfo=UTC) == NOW - timedelta(seconds=90)
    body = render(event_of(endpoint_change), event_type, "v3")
    assert b'"failing_for_seconds":90' in body
    assert b'"response_code":504' in body


def test_failures_of_webhooks_about_webhooks_raise_no_events() -> None:
    """
    An endpoint that gets events about webhooks raises none itself.
    """
    own = subscription(event_type="webhooks/endpoint_failing", payload_version="v3")

    assert not EndpointChange("id", own, HealthChange.FAILING, NOW, None).raises_webhooks
    assert EndpointChange("id", subscription(), HealthChange.FAILING, NOW, None).raises_webhooks
