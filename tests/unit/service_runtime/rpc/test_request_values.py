"""
Values that no request may hold.
"""

from __future__ import annotations

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from service_runtime.rpc import request_values
from service_runtime.rpc.errors import InvalidArgument
from shipedge.webhooks.config.v1 import config_service_pb2 as config
from shipedge.webhooks.config.v1.caller_pb2 import Caller
from shipedge.webhooks.config.v1.endpoint_event_pb2 import EndpointEvent
from shipedge.webhooks.config.v1.owner_settings_pb2 import OwnerSettings
from shipedge.webhooks.config.v1.subscription_pb2 import CustomHeader, Subscription
from shipedge.webhooks.feed.v1.feed_service_pb2 import ReportEndpointEventsRequest

NANOS = 999_999_999


def with_delays(*delays: Duration) -> Message:
    subscription = Subscription()
    subscription.retry_schedule.delays.extend(delays)
    return config.CreateSubscriptionRequest(subscription=subscription)


def with_header(name: str) -> Message:
    return config.CreateSubscriptionRequest(
        subscription=Subscription(custom_headers=[CustomHeader(name="a"), CustomHeader(name=name)])
    )


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (config.ListSubscriptionsRequest(filter='url = "\0"'), "filter"),
        (config.GetSubscriptionRequest(name="\0"), "name"),
        (with_header("b\0"), "subscription.custom_headers[1].name"),
        (Caller(owners=["accounts/1", "\0"]), "owners[1]"),
        (
            config.RotateSigningSecretRequest(grace_period=Duration(seconds=2**62)),
            "grace_period",
        ),
        (
            with_delays(Duration(seconds=5), Duration(seconds=-(2**63))),
            "subscription.retry_schedule.delays[1]",
        ),
        (OwnerSettings(payload_retention=Duration(nanos=NANOS + 1)), "payload_retention"),
        (OwnerSettings(log_retention=Duration(seconds=1, nanos=-1)), "log_retention"),
        (Caller(expire_time=Timestamp(seconds=request_values.MOST_SECONDS + 1)), "expire_time"),
        (Caller(expire_time=Timestamp(nanos=-1)), "expire_time"),
        (
            ReportEndpointEventsRequest(
                endpoint_events=[EndpointEvent(occur_time=Timestamp(seconds=-(2**60)))]
            ),
            "endpoint_events[0].occur_time",
        ),
    ],
)
def test_odd_values_are_refused_by_name(request_: Message, field: str) -> None:
    """
    The error names the field, and nothing else.
    """
    with pytest.raises(InvalidArgument) as refused:
        request_values.check(request_)
    assert [fault.field for fault in refused.value.faults] == [field]


@pytest.mark.parametrize(
    "request_",
    [
        config.GetSubscriptionRequest(),
        with_header("x-\x01\n"),
        with_delays(Duration(), Duration(seconds=request_values.MOST_SPAN_SECONDS, nanos=NANOS)),
        with_delays(Duration(seconds=-1, nanos=-NANOS)),
        Caller(expire_time=Timestamp(seconds=request_values.MOST_SECONDS, nanos=NANOS)),
        Caller(expire_time=Timestamp(seconds=request_values.LEAST_SECONDS)),
    ],
)
def test_other_values_are_left_to_the_methods(request_: Message) -> None:
    """
    What the types can hold passes, for the rules of the method to judge.
    """
    request_values.check(request_)
