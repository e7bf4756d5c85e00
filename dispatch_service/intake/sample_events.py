"""
The event of a test: the example of an event type, as if it had just happened
to a subscription's owner. No I/O, no clock.
"""

from __future__ import annotations

from datetime import datetime

from dispatch_service.domain.deliveries import TEST_RESOURCES
from dispatch_service.payloads import example_event
from dispatch_service.routing.subscriptions import Subscription
from shipedge.webhooks.events.v1 import event_pb2

PREFIX = "test_"
"""
What the ids of test events begin with.
"""


def sample_event(subscription: Subscription, test_id: str, now: datetime) -> event_pb2.Event:
    """
    Make the event that tests *subscription*; *test_id* makes its id.
    """
    event = example_event(subscription.event_type)
    event.event_id = f"{PREFIX}{test_id}"
    event.occurred_at.FromDatetime(now)
    kind, _, owner_id = subscription.owner.partition("/")
    if kind == "accounts":
        event.account_id = int(owner_id)
    else:
        event.warehouses[:] = [owner_id]
    return event


def resource_of_test(event: event_pb2.Event) -> str:
    """
    Name what a test is about.
    """
    return f"{TEST_RESOURCES}{event.event_id}"
