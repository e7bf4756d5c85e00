"""
What a changed subscription means for the deliveries that wait for it. No I/O, no clock.
"""

from __future__ import annotations

from collections.abc import Callable

from dispatch_service.feed.backlog_updates import BacklogAction, BacklogUpdate
from service_runtime.rpc import names
from shipedge.webhooks.config.v1 import (
    subscription_pb2,
)
from shipedge.webhooks.feed.v1 import (
    feed_service_pb2,
)

EndpointOf = Callable[[str], str]
"""
Returns the endpoint of a URL: scheme, host and port.
"""


def decide(
    name: str,
    change: feed_service_pb2.FeedChange,
    endpoint_of: EndpointOf,
    *,
    overridden: bool,
) -> BacklogUpdate:
    """
    Return what a change of the subscription *name* means for the deliveries that wait for it.
    """
    key, subscription = names.split(name), change.subscription.subscription
    if change.WhichOneof("change") == "deleted_name" or subscription.HasField("delete_time"):
        return BacklogUpdate(*key, change.revision, BacklogAction.CANCEL)
    status = subscription_pb2.Subscription.STATUS_ACTIVE
    active = subscription.status == status and not overridden
    action = BacklogAction.RESUME if active else BacklogAction.SUSPEND
    endpoint = endpoint_of(subscription.url)
    return BacklogUpdate(*key, change.revision, action, endpoint, subscription.ordered)


def hold(name: str, revision: int) -> BacklogUpdate:
    """
    Return what it means for deliveries that the subscription *name* is held at *revision*.
    """
    return BacklogUpdate(*names.split(name), revision, BacklogAction.SUSPEND, held=True)


def end_hold(name: str, revision: int) -> BacklogUpdate:
    """
    Return what it means for deliveries that the subscription *name* was held for too long.
    """
    return BacklogUpdate(*names.split(name), revision, BacklogAction.CANCEL, held=True)
