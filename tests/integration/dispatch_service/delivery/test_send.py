"""
The outcome of a request, whatever happens to it, and what operators learn of it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from structlog.testing import capture_logs

from dispatch_service.delivery.send import exchange_outcome
from dispatch_service.domain.outcomes import FailureKind, Response
from dispatch_service.egress.requests import OutboundRequest
from service_runtime.rules.urls import UrlRules
from tests.support.receivers import answering, https_receiver
from tests.support.transports import guarded_transport, outbound

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class Broken:
    """
    A transport with a bug.
    """

    async def exchange(self, request: OutboundRequest) -> Response:
        """
        Raise what no transport should.
        """
        raise RuntimeError(f"postgresql://app:hunter2@db, {request.owner}")


async def test_answers_become_outcomes() -> None:
    """
    An answer is judged, with the wait that it asks for.
    """
    date = "Retry-After: Sun, 01 Mar 2026 12:01:00 GMT"
    script = answering(503, b"busy", (date,))
    async with https_receiver(script) as receiver, guarded_transport(receiver) as transport:
        with capture_logs() as logs:
            outcome = await exchange_outcome(transport, outbound(receiver), lambda: NOW)

    assert (outcome.succeeded, outcome.status_code) == (False, 503)
    assert outcome.failure_kind is FailureKind.HTTP_STATUS
    assert outcome.retry_after == timedelta(minutes=1)
    assert (outcome.response_body, outcome.remote_address) == (b"busy", "127.0.0.1")
    assert logs == []


async def test_blocked_destinations_are_reported() -> None:
    """
    The customer learns that a destination is blocked, the operator also which address it was.
    """
    answers = {"a.com": ("10.0.0.5",)}
    async with guarded_transport(answers=answers, rules=UrlRules()) as transport:
        with capture_logs() as logs:
            outcome = await exchange_outcome(transport, outbound("https://a.com/"), lambda: NOW)

    assert outcome.failure_kind is FailureKind.BLOCKED_ADDRESS
    assert "10.0.0.5" not in repr(outcome)
    (line,) = logs
    assert (line["event"], line["log_level"]) == ("delivery.blocked", "warning")
    assert line["detail"] == "https://a.com:443 is 10.0.0.5, in 10.0.0.0/8"


async def test_bugs_become_outcomes() -> None:
    """
    An exception that nobody foresaw is logged with its trace, and shown to no customer.
    """
    with capture_logs() as logs:
        outcome = await exchange_outcome(Broken(), outbound("https://a.com/"), lambda: NOW)

    assert outcome.failure_kind is FailureKind.INTERNAL
    assert "hunter2" not in repr(outcome)
    (line,) = logs
    assert (line["event"], line["log_level"]) == ("delivery.fault", "error")
    assert line["exc_info"]
