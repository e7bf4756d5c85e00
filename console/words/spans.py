"""
The spans of time that figures can be shown of.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from shipedge.webhooks.dispatch.v1 import delivery_service_pb2 as pb
from shipedge.webhooks.dispatch.v1 import subscription_stats_pb2


@dataclass(frozen=True, slots=True)
class Span:
    """
    The time up to now, in words, and the length of its periods.
    """

    words: str
    length: timedelta
    period: timedelta
    granularity: subscription_stats_pb2.Granularity.ValueType


DAY = "24h"
SPANS = {
    "1h": Span(
        "the last hour",
        timedelta(hours=1),
        timedelta(minutes=1),
        subscription_stats_pb2.GRANULARITY_MINUTE,
    ),
    DAY: Span(
        "the last 24 hours",
        timedelta(days=1),
        timedelta(hours=1),
        subscription_stats_pb2.GRANULARITY_HOUR,
    ),
    "7d": Span(
        "the last 7 days",
        timedelta(days=7),
        timedelta(hours=1),
        subscription_stats_pb2.GRANULARITY_HOUR,
    ),
    "30d": Span(
        "the last 30 days",
        timedelta(days=30),
        timedelta(days=1),
        subscription_stats_pb2.GRANULARITY_DAY,
    ),
}


def asked(name: str, span: Span, now: datetime) -> pb.GetSubscriptionStatsRequest:
    """
    Return the request for the figures of a webhook, or of all, in a span.
    """
    request = pb.GetSubscriptionStatsRequest(name=name, granularity=span.granularity)
    request.start_time.FromDatetime(now - span.length)
    return request


def failing(parent: str, span: Span, now: datetime, most: int) -> pb.ListSubscriptionStatsRequest:
    """
    Return the request for the webhooks that failed most in a span.
    """
    request = pb.ListSubscriptionStatsRequest(
        parent=parent, granularity=span.granularity, page_size=most
    )
    request.start_time.FromDatetime(now - span.length)
    return request
