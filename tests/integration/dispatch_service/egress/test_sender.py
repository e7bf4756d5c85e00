"""
What becomes of a request, as an outcome.
"""

from datetime import UTC, datetime, timedelta

import pytest

from dispatch_service.domain.outcomes import FailureKind, Response
from dispatch_service.egress.requests import ExchangeFailedError, OutboundRequest
from dispatch_service.egress.sender import Sender
from dispatch_service.egress.transport import GuardedTransport
from service_runtime.rules.urls import UrlRules
from tests.support.receivers import answering, https_receiver
from tests.support.transports import guarded_transport, outbound

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
Reports = list[tuple[OutboundRequest, Exception]]


class Broken:
    """
    A transport with a bug.
    """

    async def exchange(self, request: OutboundRequest) -> Response:
        """
        Raise what no transport should.
        """
        raise RuntimeError(f"postgresql://app:hunter2@db, {request.owner}")


def sender(transport: GuardedTransport | Broken, reports: Reports) -> Sender:
    """
    A sender whose reports are kept.
    """
    return Sender(
        transport,
        clock=lambda: NOW,
        report=lambda request, error: reports.append((request, error)),
    )


async def test_answers_become_outcomes() -> None:
    """
    An answer is judged, with the wait that it asks for.
    """
    reports: Reports = []
    date = "Retry-After: Sun, 01 Mar 2026 12:01:00 GMT"
    script = answering(503, b"busy", (date,))
    async with https_receiver(script) as receiver, guarded_transport(receiver) as transport:
        outcome = await sender(transport, reports).send(outbound(receiver))

    assert (outcome.succeeded, outcome.status_code) == (False, 503)
    assert outcome.failure_kind is FailureKind.HTTP_STATUS
    assert outcome.retry_after == timedelta(minutes=1)
    assert (outcome.response_body, outcome.remote_address) == (b"busy", "127.0.0.1")
    assert reports == []


async def test_blocked_destinations_are_reported() -> None:
    """
    The customer learns that a destination is blocked, the operator also which address it was.
    """
    reports: Reports = []
    answers = {"a.com": ("10.0.0.5",)}
    async with guarded_transport(answers=answers, rules=UrlRules()) as transport:
        outcome = await sender(transport, reports).send(outbound("https://a.com/"))

    assert outcome.failure_kind is FailureKind.BLOCKED_ADDRESS
    assert "10.0.0.5" not in repr(outcome)
    assert isinstance(reports[0][1], ExchangeFailedError)
    assert reports[0][1].detail == "https://a.com:443 is 10.0.0.5, in 10.0.0.0/8"


async def test_bugs_become_outcomes() -> None:
    """
    An exception that nobody foresaw is reported whole, and shown to nobody.
    """
    reports: Reports = []

    outcome = await sender(Broken(), reports).send(outbound("https://a.com/"))

    assert outcome.failure_kind is FailureKind.INTERNAL
    assert "hunter2" not in repr(outcome)
    assert isinstance(reports[0][1], RuntimeError)
