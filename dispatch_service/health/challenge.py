"""
The challenge of a URL: its request, and what counts as an answer. No I/O; `now` is passed in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from dispatch_service.delivery.request import sign
from dispatch_service.domain.outcomes import FailureKind, Outcome, failed, failure_kind_value
from dispatch_service.egress.requests import OutboundRequest
from dispatch_service.routing.subscriptions import SigningKey, Subscription
from service_runtime.rules.urls import Url
from shipedge.webhooks.config.v1.endpoint_event_pb2 import EndpointEvent
from shipedge.webhooks.failures.causes import Cause

EVENT = "webhooks/url_challenge"
"""
What `event` says in the body. It is no event type: nobody can subscribe to it.
"""

NOT_ECHOED = "the answer does not hold the challenge"


@dataclass(frozen=True, slots=True)
class Challenge:
    """
    A challenge of the URL of *subscription*: a random *text*, and the id of its request.
    """

    subscription: Subscription
    challenge_id: str
    text: str

    def request(
        self, url: Url, keys: Sequence[SigningKey], now: datetime, deadline_seconds: float
    ) -> OutboundRequest:
        """
        Build the request, signed with *keys*. It has no custom headers, credential or client
        certificate: these are for the owner's URL alone, which this one is yet to be.
        """
        body = msgspec.json.encode({"event": EVENT, "challenge": self.text})
        message_id, timestamp = f"chl_{self.challenge_id}".encode(), int(now.timestamp())
        return OutboundRequest(
            owner=self.subscription.owner,
            url=url,
            headers=(
                (b"Content-Type", b"application/json; charset=utf-8"),
                (b"User-Agent", b"ShipEdge-Webhooks/1.0"),
                (b"Accept-Encoding", b"identity"),
                (b"X-Shipedge-Topic", EVENT.encode()),
                (b"X-Shipedge-Subscription-Id", self.subscription.subscription_id.encode()),
                (b"webhook-id", message_id),
                (b"webhook-timestamp", b"%d" % timestamp),
                (b"webhook-signature", sign(keys, message_id, timestamp, body, now)),
            ),
            body=body,
            fresh=True,
            needs_body=True,
            deadline_seconds=deadline_seconds,
        )

    def report(self, outcome: Outcome, now: datetime) -> EndpointEvent:
        """
        Return the report of what came of it.
        """
        answered = outcome.succeeded and echoes(outcome.response_body, self.text)
        report = EndpointEvent(
            endpoint_event_id=self.challenge_id,
            subscription=self.subscription.name,
            subscription_revision=self.subscription.revision,
            kind=EndpointEvent.KIND_URL_VERIFIED
            if answered
            else EndpointEvent.KIND_URL_NOT_VERIFIED,
            failure_kind=failure_kind_value(outcome.failure_kind),
            response_code=outcome.status_code or 0,
            detail="" if answered else outcome.error or NOT_ECHOED,
        )
        report.occur_time.FromDatetime(now)
        return report


def echoes(body: bytes, text: str) -> bool:
    """
    Tell whether the body of an answer is the challenge, or a JSON object that has it as
    `challenge`.
    """
    if body.strip() == text.encode():
        return True
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return isinstance(found, dict) and found.get("challenge") == text


def not_asked(cause: Cause, why: str = "") -> Outcome:
    """
    Return the outcome for a URL that is not asked; *why* is shown to customers.
    """
    return failed(FailureKind(cause.row.kind.lower()), cause.text(why))
