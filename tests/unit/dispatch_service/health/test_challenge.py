"""
The challenge of a URL, and what counts as an answer.
"""

from __future__ import annotations

import base64
import json

import pytest
from standardwebhooks import Webhook

from dispatch_service.domain.outcomes import FailureKind, Response, failed, from_response
from dispatch_service.health.challenge import NOT_ECHOED, Challenge, echoes, not_asked
from shipedge.webhooks.config.v1.endpoint_event_pb2 import EndpointEvent
from shipedge.webhooks.events.v1 import failure_kind_pb2
from shipedge.webhooks.failures.causes import Cause
from tests.support.dispatch_factories import NOW, subscription

VERIFIED, NOT_VERIFIED = EndpointEvent.KIND_URL_VERIFIED, EndpointEvent.KIND_URL_NOT_VERIFIED
SUBSCRIPTION = subscription(
    revision=7, unverified=True, headers=(("Authorization", "secret"),), credential="c"
)
CHALLENGE = Challenge(SUBSCRIPTION, "018d", "t0k-en_")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"t0k-en_", True),
        (b" t0k-en_\r\n", True),
        (b'{"challenge": "t0k-en_"}', True),
        (b'{"event": "webhooks/url_challenge", "challenge": "t0k-en_"}', True),
        (b"", False),
        (b"ok", False),
        (b"t0k-en", False),
        (b"<p>t0k-en_</p>", False),
        (b'{"challenge": ["t0k-en_"]}', False),
        (b'{"data": {"challenge": "t0k-en_"}}', False),
        (b'["t0k-en_"]', False),
        (b'"t0k-en_"', False),
        (b"[" * 100_000, False),
        (b'{"challenge": "\xff"}', False),
    ],
)
def test_answer_is_the_challenge_alone_or_in_an_object(body: bytes, *, expected: bool) -> None:
    """
    Bodies that merely have it somewhere come from pages that show what they were sent.
    """
    assert echoes(body, "t0k-en_") is expected


def test_request_is_signed_and_has_no_secrets() -> None:
    """
    The URL is yet to prove that it is the owner's.
    """
    assert SUBSCRIPTION.url is not None
    request = CHALLENGE.request(SUBSCRIPTION.url, SUBSCRIPTION.keys, NOW, 10.0)
    headers = {name.decode().lower(): value.decode() for name, value in request.headers}
    assert json.loads(request.body) == {"event": "webhooks/url_challenge", "challenge": "t0k-en_"}
    assert "authorization" not in headers
    assert request.identity is None
    assert headers["x-shipedge-subscription-id"] == "shipped"
    assert (headers["webhook-id"], request.owner) == ("chl_018d", "accounts/100")
    webhook = Webhook(base64.b64encode(b"k" * 32).decode())
    signature = webhook.sign("chl_018d", NOW, request.body.decode())
    assert headers["webhook-signature"] == signature


@pytest.mark.parametrize(
    ("outcome", "kind", "failure", "code", "detail"),
    [
        (
            from_response(Response(status_code=200, body=b"t0k-en_"), lambda: NOW),
            VERIFIED,
            failure_kind_pb2.FAILURE_KIND_UNSPECIFIED,
            200,
            "",
        ),
        (
            from_response(Response(status_code=204), lambda: NOW),
            NOT_VERIFIED,
            failure_kind_pb2.FAILURE_KIND_UNSPECIFIED,
            204,
            NOT_ECHOED,
        ),
        (
            from_response(Response(status_code=404, body=b"t0k-en_"), lambda: NOW),
            NOT_VERIFIED,
            failure_kind_pb2.FAILURE_KIND_HTTP_STATUS,
            404,
            "HTTP 404",
        ),
        (
            failed(FailureKind.TIMEOUT, "too late"),
            NOT_VERIFIED,
            failure_kind_pb2.FAILURE_KIND_TIMEOUT,
            0,
            "too late",
        ),
        (
            not_asked(Cause.URL_REFUSED, "must begin with https://"),
            NOT_VERIFIED,
            failure_kind_pb2.FAILURE_KIND_INVALID_URL,
            0,
            "must begin with https://",
        ),
    ],
)
def test_report_says_what_came_of_it(
    *, outcome: object, kind: object, failure: object, code: int, detail: str
) -> None:
    """
    Of the revision that was asked.
    """
    report = CHALLENGE.report(outcome, NOW)  # type: ignore[arg-type]
    assert (report.kind, report.failure_kind, report.response_code) == (kind, failure, code)
    assert detail in report.detail
    assert bool(report.detail) is (kind == NOT_VERIFIED)
    assert (report.subscription, report.subscription_revision) == (SUBSCRIPTION.name, 7)
    assert report.endpoint_event_id == "018d"
    assert report.occur_time.ToJsonString() == "2024-01-15T10:30:00Z"
