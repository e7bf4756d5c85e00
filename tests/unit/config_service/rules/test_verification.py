"""
Which subscriptions wait until their URL has answered a challenge.
"""

from __future__ import annotations

import pytest

from config_service.rules.verification import until_verified
from shipedge.webhooks.config.v1.subscription_pb2 import Subscription

ACTIVE, INACTIVE = Subscription.STATUS_ACTIVE, Subscription.STATUS_INACTIVE
UNVERIFIED = Subscription.STATUS_REASON_UNVERIFIED


@pytest.mark.parametrize(
    ("status", "verify_url", "verified", "awaited", "expected", "waits"),
    [
        (ACTIVE, False, False, False, ACTIVE, False),
        (ACTIVE, True, False, False, INACTIVE, True),
        (ACTIVE, True, True, False, ACTIVE, False),
        (INACTIVE, True, False, False, INACTIVE, False),
        (INACTIVE, True, False, True, INACTIVE, True),
        (INACTIVE, True, True, True, ACTIVE, False),
        (INACTIVE, False, False, True, ACTIVE, False),
        (INACTIVE, False, False, False, INACTIVE, False),
    ],
)
def test_what_is_to_be_active_waits_for_its_url(
    *,
    status: Subscription.Status.ValueType,
    verify_url: bool,
    verified: bool,
    awaited: bool,
    expected: Subscription.Status.ValueType,
    waits: bool,
) -> None:
    """
    Only if that was asked for; a reason that came along counts for nothing.
    """
    wanted = Subscription(status=status, verify_url=verify_url, status_reason=UNVERIFIED)
    before = Subscription()
    before.CopyFrom(wanted)
    found = until_verified(wanted, verified=verified, awaited=awaited)
    assert (found.status, found.status_reason == UNVERIFIED) == (expected, waits)
    assert wanted == before
