"""
What metrics and the log say of the results of a batch, after its commit.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence

import structlog

from dispatch_service.domain.attempt_record import AttemptRecord
from dispatch_service.domain.transitions import State, Trigger
from dispatch_service.domain.work import LeaseKey, Settlement
from service_runtime.observability import dispatch_metrics as metrics
from service_runtime.rpc import names
from service_runtime.rpc.gate.log_context import trace_id_of

log = structlog.get_logger()

_MICROSECOND = 1e-6
_first_attempt = metrics.FIRST_ATTEMPT_SECONDS.of().observe
_success = metrics.SUCCESS_SECONDS.of().observe
_dns, _connect, _tls, _first_byte, _total = (
    metrics.PHASE_SECONDS.of(phase).observe
    for phase in ("dns", "connect", "tls", "first_byte", "total")
)


def ends(settlement: Settlement) -> bool:
    """
    Tell whether a delivery ends that had not ended before.
    """
    return settlement.transition.delay is None and settlement.claimed.state is not State.SUCCEEDED


def observe(settlements: Sequence[Settlement], lost: Collection[LeaseKey]) -> None:
    """
    Observe attempts, and count the deliveries that ended; log those that failed. Those whose
    lease was *lost* count as late alone.
    """
    succeeded, debugs = 0, log.is_enabled_for(logging.DEBUG)
    for it in settlements:
        if it.attempt is not None:
            _observe_attempt(it, it.attempt)
        if not ends(it) or (lost and it.claimed.key in lost):
            continue
        if it.transition.state is State.SUCCEEDED:
            succeeded += 1
            if debugs:
                _log_success(it)
            continue
        count_end(it.transition.state, it.transition.failure_kind or "")
        if it.transition.state is State.FAILED:
            _log_failure(it)
    if succeeded:
        count_end(State.SUCCEEDED, "", succeeded)
    metrics.LATE_RESULTS.add(count=len(lost))


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


def _observe_attempt(settlement: Settlement, attempt: AttemptRecord) -> None:
    published = attempt.trigger is Trigger.EVENT
    if published and attempt.number == 1:
        _first_attempt(settlement.waited)
    if attempt.failure_kind is None and (published or attempt.trigger is Trigger.RETRY):
        _success(settlement.waited + settlement.seconds)
    if attempt.first_byte_us is not None:
        _first_byte(attempt.first_byte_us * _MICROSECOND)
    if attempt.duration_us is not None:
        _total(attempt.duration_us * _MICROSECOND)
    if attempt.dns_us is not None:
        _dns(attempt.dns_us * _MICROSECOND)
    if attempt.connect_us is not None:
        _connect(attempt.connect_us * _MICROSECOND)
    if attempt.tls_us is not None:
        _tls(attempt.tls_us * _MICROSECOND)
