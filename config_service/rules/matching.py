"""
Which changes of a subscription make it match other events. No I/O, no clock.
"""

from __future__ import annotations

from shipedge.webhooks.config.v1.subscription_pb2 import Subscription


def begins_to_match(before: Subscription, after: Subscription) -> bool:
    """
    Tell whether a change makes a subscription Active, or makes it match other events or send
    another payload version.
    """
    if after.status != Subscription.STATUS_ACTIVE:
        return False
    return _matching(before) != _matching(after)


def _matching(it: Subscription) -> tuple[object, ...]:
    return (it.status, it.event_type, it.payload_version, it.filter)
