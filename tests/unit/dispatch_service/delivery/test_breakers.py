"""
Breakers: fewer requests for a degraded endpoint, none while open, probes, a slow start.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from dispatch_service.delivery import breakers
from dispatch_service.delivery.breakers import LONGEST_PAUSE, Breaker, EndpointVerdict
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
        (answer(200), EndpointVerdict.SUCCESS),
        (answer(204), EndpointVerdict.SUCCESS),
        (answer(301), EndpointVerdict.ANSWERED),
        (answer(404), EndpointVerdict.ANSWERED),
        (answer(410), EndpointVerdict.ANSWERED),
        (answer(500), EndpointVerdict.ANSWERED),
        (answer(429), EndpointVerdict.FAILURE),
        (answer(502), EndpointVerdict.FAILURE),
        (answer(503), EndpointVerdict.FAILURE),
        (answer(504), EndpointVerdict.FAILURE),
        (failed(FailureKind.TIMEOUT, "late"), EndpointVerdict.FAILURE),
        (failed(FailureKind.DNS, "no such host"), EndpointVerdict.FAILURE),
        (failed(FailureKind.CONNECT, "refused"), EndpointVerdict.FAILURE),
        (failed(FailureKind.TLS, "handshake"), EndpointVerdict.FAILURE),
        (failed(FailureKind.CERTIFICATE, "expired"), EndpointVerdict.FAILURE),
        (failed(FailureKind.BLOCKED_ADDRESS, "not public"), EndpointVerdict.UNRELATED),
        (failed(FailureKind.INVALID_URL, "no host"), EndpointVerdict.UNRELATED),
        (failed(FailureKind.AUTH, "no token"), EndpointVerdict.UNRELATED),
        (failed(FailureKind.CONNECTION_LOST, "closed"), EndpointVerdict.UNRELATED),
        (failed(FailureKind.PROXY, "proxy"), EndpointVerdict.UNRELATED),
        (failed(FailureKind.INTERNAL, "fault"), EndpointVerdict.UNRELATED),
    ],
    ids=lambda it: f"{it.status_code or it.failure_kind}" if isinstance(it, Outcome) else it.name,
)
def test_what_an_outcome_says_of_its_endpoint(outcome: Outcome, verdict: EndpointVerdict) -> None:
    """
    Overload and absence are failures of the endpoint; other answers are not, nor faults of ours.
    """
    assert breakers.judge(outcome) is verdict


@pytest.mark.parametrize(
    ("before", "verdict", "now"),
    [
        (None, EndpointVerdict.SUCCESS, None),
        (None, EndpointVerdict.ANSWERED, None),
        (None, EndpointVerdict.UNRELATED, None),
        (None, EndpointVerdict.FAILURE, Breaker(4, failures=1)),
        (Breaker(4, failures=1), EndpointVerdict.FAILURE, Breaker(2, failures=2)),
        (Breaker(1, failures=3), EndpointVerdict.FAILURE, Breaker(1, failures=4)),
        (Breaker(4, failures=2), EndpointVerdict.SUCCESS, Breaker(5)),
        (Breaker(4, failures=2), EndpointVerdict.ANSWERED, Breaker(4)),
        (Breaker(4, failures=2), EndpointVerdict.UNRELATED, Breaker(4, failures=2)),
        (Breaker(7), EndpointVerdict.SUCCESS, None),
        (Breaker(1, trips=3, open=True), EndpointVerdict.SUCCESS, Breaker(1)),
        (Breaker(1, trips=3, open=True), EndpointVerdict.ANSWERED, Breaker(1)),
        (Breaker(1, trips=3, open=True), EndpointVerdict.UNRELATED, Breaker(1, trips=3, open=True)),
    ],
)
def test_limit_halves_and_grows(
    before: Breaker | None, verdict: EndpointVerdict, now: Breaker | None
) -> None:
    """
    A failure halves what an endpoint gets, success adds one, recovery starts with one.
    """
    assert breakers.after(before, verdict, CAP) == now


@pytest.mark.parametrize(
    ("breaker", "retry_after", "opens"),
    [
        (None, None, False),
        (Breaker(4, failures=4), None, False),
        (Breaker(1, failures=5), None, True),
        (Breaker(4, failures=1), timedelta(seconds=30), True),
        (Breaker(1, failures=1, trips=1, open=True), None, True),
        (Breaker(1), timedelta(seconds=30), False),
    ],
)
def test_when_a_breaker_opens(
    breaker: Breaker | None, retry_after: timedelta | None, opens: bool
) -> None:
    """
    It opens after several failures in a row, on request, and when a probe fails.
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
