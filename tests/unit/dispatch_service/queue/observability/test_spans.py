"""
The spans of commits, attempts and results.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from dispatch_service.domain.outcomes import FailureKind
from dispatch_service.domain.transitions import fail, succeed
from dispatch_service.domain.work import Settlement
from dispatch_service.queue.observability import spans
from service_runtime.rpc.tracing.spans import SpanKind
from tests.support.dispatch_factories import NOW, attempt, claimed

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CALL = f"00-{TRACE}-00f067aa0ba902b7-01"
NOT_SAMPLED = CALL[:-1] + "0"


@dataclass
class Waiting:
    """
    An event of a call.
    """

    trace_parent: str | None


def test_commit_has_a_span_for_each_call() -> None:
    """
    However many events of a call are in it; calls without a trace, or that are not sampled, have
    none.
    """
    other = f"00-{'a' * 32}-{'b' * 16}-01"
    group = [Waiting(it) for it in (CALL, None, other, CALL, NOT_SAMPLED)]

    found = spans.of_commit(group, time.monotonic())

    assert [(it.parent, it.attributes["shipedge.events"]) for it in found] == [
        (CALL, 2),
        (other, 1),
    ]
    assert {it.attributes["shipedge.batch_events"] for it in found} == {5}


def test_result_is_under_its_attempt() -> None:
    """
    And the attempt under the call that published the event; both say how it ended.
    """
    leased = claimed(trace_parent=CALL)
    record = attempt(leased, failure_kind="timeout", response_code=None, duration_us=2_000_000)
    failed = Settlement(leased, fail(0, FailureKind.TIMEOUT), record)

    sent, written = spans.of_results([failed], time.monotonic())

    assert (sent.parent, sent.place) == (CALL, spans.attempt_place(leased))
    assert (written.parent, written.kind) == (sent.place, SpanKind.INTERNAL)
    assert (sent.start, sent.seconds, sent.failure) == (NOW.timestamp(), 2.0, "timeout")
    assert sent.attributes["error.type"] == "timeout"
    assert written.attributes["shipedge.state"] == "FAILED"
    assert {it.place.split("-")[1] for it in (sent, written)} == {TRACE}


def test_span_of_an_attempt_hides_the_path() -> None:
    """
    It has host and port of the URL; path and query are secret.
    """
    leased = claimed(trace_parent=CALL)
    done = Settlement(leased, succeed(0), attempt(leased, url_shown="https://example.com/…#ab"))

    sent, _ = spans.of_results([done], time.monotonic())

    assert sent.attributes["server.address"] == "example.com:443"
    assert not [it for it in sent.attributes.values() if "…" in str(it) or "hook" in str(it)]


def test_end_without_an_attempt() -> None:
    """
    It is under the call, because there is no attempt; one that is not sampled has no spans.
    """
    ends = [
        Settlement(claimed(trace_parent=it), fail(0, FailureKind.EXPIRED), None)
        for it in (CALL, NOT_SAMPLED, None)
    ]

    (written,) = spans.of_results(ends, time.monotonic())

    assert written.parent == CALL


def test_place_of_an_attempt_is_its_own() -> None:
    """
    The same each time it is asked for, another one for each attempt, none without a trace.
    """
    first, second = (claimed(trace_parent=CALL, number=number) for number in (1, 2))

    assert spans.attempt_place(first) == spans.attempt_place(first)
    assert spans.attempt_place(first) != spans.attempt_place(second)
    assert spans.attempt_place(claimed(trace_parent=None)) is None
