"""
The log lines of attempts and deliveries, on SQLite and on PostgreSQL alike.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import pytest
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.testing import capture_logs

from dispatch_service.delivery.attempt import AttemptSubject
from dispatch_service.delivery.endpoint_queue import Ready
from dispatch_service.delivery.results import ResultWriter
from dispatch_service.domain.outcomes import FailureKind
from dispatch_service.domain.transitions import cancel, fail, succeed
from dispatch_service.domain.work import Claimed, Requeue, Settlement
from dispatch_service.queue.protocol import Queue
from dispatch_service.routing.index import SubscriptionIndex
from service_runtime.observability.logs import only_allowed, with_subject
from service_runtime.rpc.gate.log_context import CallSubject, current_subject
from shipedge.webhooks.failures.words import status_text
from tests.support.delivery_process import DeliveryProcess
from tests.support.dispatch_factories import (
    LEASE,
    attempt,
    claimed_of,
    new_delivery,
    new_event,
    subscription,
)
from tests.support.running_intake import day_keys, running_intake, shipped

pytestmark = pytest.mark.anyio

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PROCESSORS = [with_subject, only_allowed]


async def answer_500(_claimed: Claimed) -> int:
    """
    Refuse every request, as a receiver with a bug does.
    """
    return 500


async def raise_bug(_claimed: Claimed) -> int:
    """
    Fail on our side.
    """
    raise RuntimeError("a bug")


async def lines_of_attempts(queue: Queue, store: AsyncEngine, answer: Any) -> list[Any]:
    """
    Attempt three deliveries; return what is logged.
    """
    events = [new_event(new_delivery(leased=True)) for _ in range(3)]
    await queue.insert(events, LEASE)
    process = DeliveryProcess(store, queue, answer)
    with capture_logs(processors=PROCESSORS) as logs:
        for event in events:
            process.queues.admit(Ready(claimed_of(event), b"{}", float("inf")))
        await process.queues.drain(20)
    return logs


async def test_first_failed_attempt_of_an_endpoint_has_a_line(
    queue: Queue, store: AsyncEngine
) -> None:
    """
    It says which delivery failed, where and how; the next ones are summed up later.
    """
    logs = await lines_of_attempts(queue, store, answer_500)

    (line,) = (it for it in logs if it["event"] == "delivery.attempt_failed")
    assert line["log_level"] == "warning"
    assert (line["owner"], line["endpoint"]) == ("accounts/100", "https://example.com:443")
    assert line["subscription"] == "accounts/100/subscriptions/shipped"
    assert (line["failure_kind"], line["response_code"]) == ("http_status", 500)
    assert line["detail"] == status_text(500)
    assert line["delivery"].startswith("dlv_")
    assert line["attempt"] == 1


async def test_every_line_of_an_attempt_names_it(queue: Queue, store: AsyncEngine) -> None:
    """
    Whatever is logged while it is made.
    """
    logs = await lines_of_attempts(queue, store, raise_bug)

    assert [it["event"] for it in logs] == ["delivery.attempt_error"] * 3
    assert ["exc_info" in it for it in logs] == [True, False, False]
    assert len({it["delivery"] for it in logs}) == 3
    assert {(it["owner"], it["attempt"]) for it in logs} == {("accounts/100", 1)}


async def lines_of_ends(queue: Queue, store: AsyncEngine) -> Sequence[Any]:
    """
    End three deliveries in three ways; return what is logged.
    """
    events = [new_event(new_delivery(leased=True)) for _ in range(3)]
    await queue.insert(events, LEASE)
    failed, cancelled, succeeded = map(claimed_of, events)
    writer = ResultWriter(queue, SubscriptionIndex(), day_keys(store))
    record = attempt(failed, status="FAILURE", failure_kind="http_status", response_code=410)
    writer.settle(Settlement(failed, fail(0, FailureKind.HTTP_STATUS, gone=True), record, 410))
    writer.settle(Settlement(cancelled, cancel(0), None))
    writer.settle(Settlement(succeeded, succeed(0), attempt(succeeded), 200))
    with capture_logs(processors=PROCESSORS) as logs:
        await writer.flush_once()
    return logs


async def test_delivery_that_failed_always_has_a_line(queue: Queue, store: AsyncEngine) -> None:
    """
    With all that support asks for; one that was cancelled has none, one that succeeded at debug.
    """
    logs = await lines_of_ends(queue, store)

    lines = {it["event"]: it for it in logs}
    assert sorted(lines) == ["delivery.failed", "delivery.succeeded"]
    line = lines["delivery.failed"]
    assert line["log_level"] == "warning"
    assert (line["failure_kind"], line["response_code"], line["attempts"]) == (
        "http_status",
        410,
        1,
    )
    assert line["subscription"] == "accounts/100/subscriptions/shipped"
    assert (line["event_type"], line["resource"]) == ("orders/shipped", "orders/12345")
    assert lines["delivery.succeeded"]["log_level"] == "debug"


async def test_successes_cost_nothing_at_level_info(queue: Queue, store: AsyncEngine) -> None:
    """
    There are thousands a second.
    """
    before = structlog.get_config()
    try:
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.INFO))
        logs = await lines_of_ends(queue, store)
    finally:
        structlog.configure(**before)

    assert [it["event"] for it in logs] == ["delivery.failed"]


async def test_attempts_are_in_the_trace_of_their_publisher(
    queue: Queue, store: AsyncEngine
) -> None:
    """
    Whichever process makes them: the trace is stored with the delivery. One without a trace has
    none in its lines.
    """
    traced, untraced = shipped("traced"), shipped("untraced")
    subject = CallSubject("/a/b")
    subject.read({"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"})
    async with running_intake(store, queue) as intake:
        intake.subscriptions.put(subscription())
        outer = current_subject.set(subject)
        await intake.accept(traced)
        current_subject.reset(outer)
        await intake.accept(untraced)
        await intake.nothing_held()

        dispatched = {it.claimed.event_id: it.claimed for it in intake.dispatched}
    await queue.release([Requeue(it) for it in dispatched.values()])
    claimed = await queue.claim(LEASE, limit=9, per_endpoint=9, full=())

    for found in (dispatched.values(), claimed):
        fields = {it.event_id: AttemptSubject(it).log_fields()["trace_id"] for it in found}
        assert fields == {"traced": TRACE, "untraced": ""}
