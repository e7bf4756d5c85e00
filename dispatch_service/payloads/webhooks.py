"""
Payloads of `webhooks/*`: an endpoint is failing, has recovered or was deactivated.
"""

from typing import Annotated

from dispatch_service.payloads.core.builder_types import Builder, Key
from dispatch_service.payloads.core.enum_strings import (
    ENDPOINT_CHANGES,
    FAILURE_KINDS,
    EndpointChangeText,
)
from dispatch_service.payloads.core.envelope import Sequence, SystemEnvelope, system_envelope
from dispatch_service.payloads.core.field_types import Instant, Part, Quantity, note
from dispatch_service.payloads.core.times import optional_instant
from shipedge.webhooks.events.v1.endpoint_pb2 import EndpointStateChanged
from shipedge.webhooks.events.v1.event_pb2 import Event


class EndpointV3(Part, frozen=True, kw_only=True):
    """
    The endpoint of a subscription.
    """

    url: Annotated[str | None, note("Its URL: scheme, host, port and path.")]
    event_type: Annotated[str | None, note("The event type that the subscription is for.")]
    state: Annotated[EndpointChangeText | None, note("What it changed to.")]
    failing_since: Annotated[Instant | None, note("Since when its attempts were failing.")]
    failing_for_seconds: Annotated[Quantity | None, note("How long they had been failing.")]
    failed_attempts: Annotated[Quantity, note("How many attempts have failed since.")]
    failure_kind: Annotated[str | None, note("How the last one failed, for example `timeout`.")]
    response_code: Annotated[
        int | None, note("The status code of the last response; null if there was none.")
    ]
    reason: Annotated[str | None, note("Why the subscription was set Inactive.")]


class EndpointDataV3(Part, frozen=True, kw_only=True):
    """
    The endpoint that changed.
    """

    endpoint: Annotated[EndpointV3, note("The endpoint as it is now.")]


class EndpointBodyV3(SystemEnvelope, frozen=True, kw_only=True):
    """
    The endpoint of a subscription changed.
    """

    subscription: Annotated[str, note("The subscription that the endpoint belongs to.")]
    sequence: Sequence
    data: Annotated[EndpointDataV3, note("The endpoint that changed.")]


def _endpoint(change: EndpointStateChanged) -> EndpointV3:
    lasted = change.failing_for.seconds if change.HasField("failing_for") else None
    return EndpointV3(
        url=change.url or None,
        event_type=change.subscribed_event_type or None,
        state=ENDPOINT_CHANGES.get(change.state),
        failing_since=optional_instant(change, "failing_since"),
        failing_for_seconds=lasted,
        failed_attempts=change.failed_attempts,
        failure_kind=FAILURE_KINDS.get(change.failure_kind),
        response_code=change.response_code or None,
        reason=change.reason or None,
    )


def v3(event: Event, change: EndpointStateChanged, topic: str) -> EndpointBodyV3:
    """
    Build the body; its shape is the same for all states.
    """
    return EndpointBodyV3(
        **system_envelope(event, topic),
        subscription=change.subscription,
        data=EndpointDataV3(endpoint=_endpoint(change)),
    )


BUILDERS: dict[Key, Builder] = {
    ("webhooks/endpoint_failing", "v3"): v3,
    ("webhooks/endpoint_recovered", "v3"): v3,
    ("webhooks/endpoint_deactivated", "v3"): v3,
}
