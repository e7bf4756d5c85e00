"""
The record of an attempt.
"""

from __future__ import annotations

from datetime import datetime

from dispatch_service.domain.attempt_record import AttemptRecord
from dispatch_service.domain.authentication import Header
from dispatch_service.domain.outcomes import Outcome
from dispatch_service.domain.work import Claimed
from dispatch_service.log.exchanges import detail_of, seal_exchange
from dispatch_service.routing.subscriptions import Subscription
from dispatch_service.storage.sealing import Sealer


def attempt_record(
    claimed: Claimed,
    subscription: Subscription,
    outcome: Outcome,
    sealer: Sealer,
    *,
    start_time: datetime,
    request_headers: tuple[Header, ...],
    ends: bool = True,
    log_is_full: bool = False,
) -> AttemptRecord:
    """
    Make the record of an attempt from its outcome, and seal its exchange. Secrets in
    *request_headers* are masked already. Less is kept of an attempt that does not end its
    delivery, and where the owner's log is full today.
    """
    detail = detail_of(claimed.number, ends=ends, is_full=log_is_full)
    timings = outcome.timings
    return AttemptRecord(
        number=claimed.number,
        trigger=claimed.trigger,
        requested_by=claimed.requested_by,
        status="SUCCESS" if outcome.succeeded else "FAILURE",
        failure_kind=outcome.failure_kind,
        response_code=outcome.status_code,
        error=outcome.error,
        url_shown=subscription.url_shown,
        url_hash=subscription.url_hash,
        start_time=start_time,
        duration_us=timings.total_us,
        dns_us=timings.dns_us,
        connect_us=timings.connect_us,
        tls_us=timings.tls_us,
        first_byte_us=timings.first_byte_us,
        sealed_exchange=seal_exchange(claimed, request_headers, outcome, sealer, detail),
    )
