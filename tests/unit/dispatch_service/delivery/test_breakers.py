"""
Breakers: less for an endpoint in trouble, nothing after much of it, probes, a slow start.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from dispatch_service.delivery import breakers
from dispatch_service.delivery.breakers import LONGEST_PAUSE, Breaker, Verdict
from dispatch_service.domain.outcomes import FailureKind, Outcome, Response, failed, from_response

CAP = 8
NOW = datetime(2024, 1, 15, tzinfo=UTC)


def answer(status: int) -> Outcome:
    """
    Make the outcome of an answer.
    """
    return from_response(Response(status_code=status), lambda: NOW)


@pytest.mark.parametrize(
    ("outcome", "verdict"),
    [
        (answer(200), Verdict.WELL),
        (answer(204), Verdict.WELL),
        (answer(301), Verdict.ANSWERED),
        (answer(404), Verdict.ANSWERED),
        (answer(410), Verdict.ANSWERED),
        (answer(500), Verdict.ANSWERED),
        (answer(429), Verdict.TROUBLE),
        (answer(502), Verdict.TROUBLE),
        (answer(503), Verdict.TROUBLE),
        (answer(504), Verdict.TROUBLE),
        (failed(FailureKind.TIMEOUT, "late"), Verdict.TROUBLE),
        (failed(FailureKind.DNS, "no such host"), Verdict.TROUBLE),
        (failed(FailureKind.CONNECT, "refused"), Verdict.TROUBLE),
        (failed(FailureKind.TLS, "handshake"), Verdict.TROUBLE),
        (failed(FailureKind.CERTIFICATE, "expired"), Verdict.TROUBLE),
        (failed(FailureKind.BLOCKED_ADDRESS, "not public"), Verdict.NOTHING),
        (failed(FailureKind.INVALID_URL, "no host"), Verdict.NOTHING),
        (failed(FailureKind.AUTH, "no token"), Verdict.NOTHING),
        (failed(FailureKind.PROXY, "proxy"), Verdict.NOTHING),
        (failed(FailureKind.INTERNAL, "fault"), Verdict.NOTHING),
    ],
    ids=lambda it: f"{it.status_code or it.failure_kind}" if isinstance(it, Outcome) else it.name,
)
def test_what_an_outcome_says_of_its_endpoint(outcome: Outcome, verdict: Verdict) -> None:
    """
    Overload and absence are trouble of the endpoint; other answers are not, nor faults of ours.
    """
    assert breakers.judge(outcome) is verdict


@pytest.mark.parametrize(
    ("before", "verdict", "now"),
    [
        (None, Verdict.WELL, None),
        (None, Verdict.ANSWERED, None),
        (None, Verdict.NOTHING, None),
        (None, Verdict.TROUBLE, Breaker(4, troubles=1)),
        (Breaker(4, troubles=1), Verdict.TROUBLE, Breaker(2, troubles=2)),
        (Breaker(1, troubles=3), Verdict.TROUBLE, Breaker(1, troubles=4)),
        (Breaker(4, troubles=2), Verdict.WELL, Breaker(5)),
        (Breaker(4, troubles=2), Verdict.ANSWERED, Breaker(4)),
        (Breaker(4, troubles=2), Verdict.NOTHING, Breaker(4, troubles=2)),
        (Breaker(7), Verdict.WELL, None),
        (Breaker(1, trips=3, open=True), Verdict.WELL, Breaker(1)),
        (Breaker(1, trips=3, open=True), Verdict.ANSWERED, Breaker(1)),
        (Breaker(1, trips=3, open=True), Verdict.NOTHING, Breaker(1, trips=3, open=True)),
    ],
)
def test_limit_halves_and_grows(
    before: Breaker | None, verdict: Verdict, now: Breaker | None
) -> None:
    """
    Trouble halves what an endpoint gets, success adds one, recovery begins with one.
    """
    assert breakers.after(before, verdict, CAP) == now


@pytest.mark.parametrize(
    ("breaker", "retry_after", "opens"),
    [
        (None, None, False),
        (Breaker(4, troubles=4), None, False),
        (Breaker(1, troubles=5), None, True),
        (Breaker(4, troubles=1), timedelta(seconds=30), True),
        (Breaker(1, troubles=1, trips=1, open=True), None, True),
        (Breaker(1), timedelta(seconds=30), False),
    ],
)
def test_when_a_breaker_opens(
    breaker: Breaker | None, retry_after: timedelta | None, opens: bool
) -> None:
    """
    It opens after much trouble in a row, on request, and when a probe fails.
    """
    assert breakers.opens(breaker, retry_after) is opens


@pytest.mark.parametrize(
    ("trips", "retry_after", "seconds"),
    [
        (0, None, 5),
        (1, None, 10),
        (4, None, 80),
        (7, None, 300),
        (500, None, 300),
        (0, timedelta(seconds=60), 60),
        (0, timedelta(seconds=1), 5),
        (0, timedelta(hours=24), LONGEST_PAUSE.total_seconds()),
    ],
)
def test_pauses_grow_to_a_bound(trips: int, retry_after: timedelta | None, seconds: float) -> None:
    """
    Each failed probe doubles the pause, up to five minutes; a receiver may ask for as much.
    """
    breaker, pause = breakers.opened(Breaker(1, trips=trips), retry_after, chance=0.5)

    assert pause.total_seconds() == seconds
    assert breaker == Breaker(1, trips=trips + 1, open=True)
