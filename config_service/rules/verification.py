"""
Subscriptions whose URL has to answer a challenge before they are Active. No I/O, no clock.
"""

from __future__ import annotations

from shipedge.webhooks.config.v1.subscription_pb2 import Subscription

ACTIVE, INACTIVE = Subscription.STATUS_ACTIVE, Subscription.STATUS_INACTIVE


def until_verified(
    wanted: Subscription, *, verified: bool = False, awaited: bool = False
) -> Subscription:
    """
    Return a copy that is Inactive, for the reason UNVERIFIED, if it is to be Active and its URL
    has to answer a challenge first. Without that reason `status_reason` is unset.

    *verified*: its URL has done so. *awaited*: it was only waiting for that, so it is to be Active.
    """
    copy = Subscription()
    copy.CopyFrom(wanted)
    copy.ClearField("status_reason")
    if awaited:
        copy.status = ACTIVE
    if copy.verify_url and copy.status == ACTIVE and not verified:
        copy.status = INACTIVE
        copy.status_reason = Subscription.STATUS_REASON_UNVERIFIED
    return copy
