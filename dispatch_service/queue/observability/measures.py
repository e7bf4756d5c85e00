"""
What metrics and the log say of the results of a batch, after its commit.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence

import structlog

from dispatch_service.domain.transitions import State, Trigger
from dispatch_service.domain.work import LeaseKey, Settlement
from dispatch_service.queue.observability import spans
from service_runtime.observability import dispatch_metrics as metrics
from service_runtime.rpc import names
from service_runtime.rpc.gate.log_context import trace_id_of
from service_runtime.rpc.tracing.spans import tracing

log = structlog.get_logger()

_MICROSECOND = 1e-6
_first_attempt = metrics.FIRST_ATTEMPT_SECONDS.of()
_success = metrics.SUCCESS_SECONDS.of()
_dns, _connect, _tls, _first_byte, _total = map(
    metrics.PHASE_SECONDS.of, ("dns", "connect", "tls", "first_byte", "total")
)
_PUBLISHED = frozenset({Trigger.EVENT, Trigger.RETRY})


def ends(settlement: Settlement) -> bool:
    """
    Tell whether a delivery ends that had not ended before.
    """
    return settlement.transition.delay is None and settlement.claimed.state is not State.SUCCEEDED


def observe_commit(group: Sequence[spans.Traced], started: float) -> None:
    """
    Observe a commit of events that began at a monotonic time.
    """
    metrics.observe_batch("commit", len(group), started)
    if tracing.tracer is not None:
        tracing.tracer.record(spans.of_commit(group, started))


def observe_results(settlements: Sequence[Settlement], started: float) -> None:
    """
    Observe a commit of results that began at a monotonic time.
    """
    metrics.observe_batch("settle", len(settlements), started)
    if tracing.tracer is not None:
        tracing.tracer.record(spans.of_results(settlements, started))


def observe(
    settlements: Sequence[Settlement], ended: Sequence[Settlement], lost: Collection[LeaseKey]
) -> None:
    """
    Observe attempts, and count the deliveries that *ended*; log those that failed. Those whose
    lease was *lost* count as late alone.
    """
    _observe_attempts([it for it in settlements if it.attempt is not None])
    if lost:
        metrics.LATE_RESULTS.add(count=len(lost))
        ended = [it for it in ended if it.claimed.key not in lost]
    others = [it for it in ended if it.transition.state is not State.SUCCEEDED]
    if len(ended) > len(others):
        count_end(State.SUCCEEDED, "", len(ended) - len(others))
    for it in others:
        count_end(it.transition.state, it.transition.failure_kind or "")
        if it.transition.state is State.FAILED:
            _log_failure(it)
    if log.is_enabled_for(logging.DEBUG):
        for it in ended:
            if it.transition.state is State.SUCCEEDED:
                _log_success(it)


def count_end(state: State, failure_kind: str, count: int = 1) -> None:
    """
    Count deliveries that ended for the same reason.
    """
    metrics.DELIVERIES_ENDED.add(state.value, failure_kind, count=count)


def log_failed(owner: str, delivery_id: str, failure_kind: str, **more: object) -> None:
    """
    Log a delivery that failed for good, with *more* fields.
    """
    delivery = names.DELIVERY_PREFIX + delivery_id
    log.warning(
        "delivery.failed", owner=owner, delivery=delivery, failure_kind=failure_kind, **more
    )


def _log_failure(settlement: Settlement) -> None:
    claimed = settlement.claimed
    log_failed(
        claimed.owner,
        claimed.delivery_id,
        settlement.transition.failure_kind or "",
        subscription=names.subscription(claimed.owner, claimed.subscription),
        event_type=claimed.event_type,
        resource=claimed.resource,
        endpoint=claimed.endpoint,
        response_code=settlement.response_code,
        trace_id=trace_id_of(claimed.trace_parent),
        attempts=claimed.number if settlement.attempt is not None else claimed.number - 1,
    )


def _log_success(settlement: Settlement) -> None:
    claimed = settlement.claimed
    log.debug(
        "delivery.succeeded",
        owner=claimed.owner,
        delivery=names.DELIVERY_PREFIX + claimed.delivery_id,
        trace_id=trace_id_of(claimed.trace_parent),
        attempts=claimed.number,
    )


def _observe_attempts(attempted: Sequence[Settlement]) -> None:
    """
    Observe how long deliveries waited for their first attempt and their success, and how long the
    attempts took; each for all attempts before the next one (ADR 22).
    """
    records = [it.attempt for it in attempted if it.attempt is not None]
    pairs = list(zip(attempted, records, strict=True))
    _first_attempt.observe_all(
        [it.waited for it, of in pairs if of.number == 1 and of.trigger is Trigger.EVENT]
    )
    _success.observe_all(
        [
            it.waited + it.seconds
            for it, of in pairs
            if of.failure_kind is None and of.trigger in _PUBLISHED
        ]
    )
    _first_byte.observe_all(_seconds([it.first_byte_us for it in records]))
    _total.observe_all(_seconds([it.duration_us for it in records]))
    _dns.observe_all(_seconds([it.dns_us for it in records]))
    _connect.observe_all(_seconds([it.connect_us for it in records]))
    _tls.observe_all(_seconds([it.tls_us for it in records]))


def _seconds(micros: Sequence[int | None]) -> Sequence[float]:
    """
    Return the seconds of the steps that were made.
    """
    return [it * _MICROSECOND for it in micros if it is not None]
