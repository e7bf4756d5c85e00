"""
The request of an attempt.
"""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

import pytest
import standardwebhooks.webhooks
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace
from standardwebhooks import Webhook

from dispatch_service.delivery.request import MASK, build, masked_headers, sign
from dispatch_service.egress.requests import OutboundRequest
from dispatch_service.routing.subscriptions import SigningKey, Subscription
from tests.support.dispatch_factories import claimed, subscription

TRACE_PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
NOW = datetime(2026, 11, 24, 12, 30, tzinfo=UTC)
BODY = '{"event":"orders/shipped_v2","name":"Zoë"}'.encode()


@pytest.fixture(autouse=True)
def receivers_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Let the official library, which refuses signatures of the past, live at the same time.
    """

    class Clock(datetime):
        """
        A clock that stands still.
        """

        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            """
            Return the time of these tests.
            """
            return NOW.astimezone(tz)

    monkeypatch.setattr(standardwebhooks.webhooks, "datetime", Clock)


def built(wanted: Subscription, **over: Any) -> OutboundRequest:
    """
    Build a request that the own keys of a subscription sign.
    """
    delivery = replace(claimed(), **over)
    return build(delivery, wanted, BODY, now=NOW, deadline=10, keys=wanted.keys)


def headers(**over: object) -> dict[str, str]:
    """
    Build a request and return its headers by their names in lower case.
    """
    request = built(subscription(**over))
    return {name.decode().lower(): value.decode() for name, value in request.headers}


def test_signature_is_that_of_the_specification() -> None:
    """
    The test vector of Standard Webhooks comes out.
    """
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    body = b'{"test": 2432232314}'

    keys = [SigningKey(key, None)]
    signature = sign(keys, b"msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body, NOW)

    assert signature == b"v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("key", [b"n" * 32, b"o" * 24])
def test_receiver_verifies_under_either_key_of_a_rotation(key: bytes) -> None:
    """
    During a rotation one header holds the signatures of all live keys.
    """
    rotating = (SigningKey(b"n" * 32, None), SigningKey(b"o" * 24, NOW + timedelta(hours=1)))
    received = headers(keys=rotating)

    secret = f"whsec_{base64.b64encode(key).decode()}"
    Webhook(secret).verify(BODY, received)
    assert received["webhook-signature"].count("v1,") == 2


def test_asymmetric_signature_stands_behind() -> None:
    """
    On request an ed25519 signature of the same bytes follows; the HMAC verifies as before.
    """
    private = Ed25519PrivateKey.from_private_bytes(b"p" * 32)
    received = headers(keys=(SigningKey(b"n" * 32, None, private),))

    Webhook(f"whsec_{base64.b64encode(b'n' * 32).decode()}").verify(BODY, received)
    symmetric, asymmetric = received["webhook-signature"].split(" ")
    assert symmetric.startswith("v1,")
    signed = f"{received['webhook-id']}.{received['webhook-timestamp']}.".encode() + BODY
    version, _, signature = asymmetric.partition(",")
    assert version == "v1a"
    private.public_key().verify(base64.b64decode(signature), signed)


def test_expired_key_signs_nothing() -> None:
    """
    A key signs until it expires, not longer.
    """
    expired = SigningKey(b"o" * 32, NOW)

    received = headers(keys=(SigningKey(b"n" * 32, None), expired))

    assert received["webhook-signature"].count("v1,") == 1


def test_documented_headers() -> None:
    """
    Every request says what it is, of what event, of what attempt.
    """
    received = headers()

    assert received["content-type"] == "application/json; charset=utf-8"
    assert received["user-agent"] == "ShipEdge-Webhooks/1.0"
    assert received["x-shipedge-topic"] == "orders/shipped_v2"
    assert received["x-shipedge-attempt"] == "1"
    assert received["x-shipedge-account-id"] == "100"
    assert received["x-shipedge-occurred-at"] == "2024-01-15T10:30:00Z"
    assert received["x-shipedge-sequence"] == "7"
    assert received["webhook-id"] == received["x-shipedge-delivery-id"]
    assert received["webhook-id"].startswith("dlv_")
    assert received["webhook-timestamp"] == str(int(NOW.timestamp()))


def test_body_and_url_are_those_of_the_moment() -> None:
    """
    The bytes go out as they are, to the URL with its query.
    """
    request = built(subscription())

    assert request.body is BODY
    assert request.url.text == "https://example.com/hooks?token=secret"


def test_sequence_that_nobody_stated_is_absent() -> None:
    """
    A number that an event does not have is no zero.
    """
    stated, unstated = (built(subscription(), sequence=it) for it in (7, 0))

    assert dict(stated.headers)[b"X-Shipedge-Sequence"] == b"7"
    assert b"X-Shipedge-Sequence" not in dict(unstated.headers)


def test_test_events_are_marked() -> None:
    """
    A test says so in a header.
    """
    request = built(subscription(), resource="tests/test_1")

    assert (b"X-Shipedge-Test", b"true") in request.headers


def test_replays_are_marked() -> None:
    """
    A replay says so in a header; nothing else does.
    """
    replayed, published = (built(subscription(), replayed=it) for it in (True, False))

    assert (b"X-Shipedge-Replay", b"true") in replayed.headers
    assert b"X-Shipedge-Replay" not in dict(published.headers)


def test_log_masks_what_was_configured() -> None:
    """
    The values of custom headers are secrets; the log shows their names.
    """
    custom = subscription(headers=(("Authorization", "Bearer secret"),))
    request = built(custom)

    shown = dict(masked_headers(request, custom))

    assert shown[b"Authorization"] == MASK
    assert shown[b"X-Shipedge-Topic"] == b"orders/shipped_v2"
    assert "secret" not in str(shown)


def test_unusable_url_is_refused() -> None:
    """
    There is no request to a URL that breaks the rules.
    """
    broken = subscription(url=None, url_problem="the host is not a public address")

    with pytest.raises(ValueError, match="not a public address"):
        built(broken)


@pytest.mark.parametrize(
    ("asked", "parent", "expected"),
    [
        (True, TRACE_PARENT, TRACE_PARENT),
        (True, None, None),
        (False, TRACE_PARENT, None),
    ],
)
def test_place_in_a_trace(asked: bool, parent: str | None, expected: str | None) -> None:
    """
    Only on request, and only if the publisher named one.
    """
    request = built(subscription(trace_context=asked), trace_parent=parent)

    found = dict(request.headers).get(b"traceparent")
    assert found == (None if expected is None else expected.encode())
