"""
The record of an attempt, and its sealed request and response.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from dispatch_service.domain.attempt_record import AttemptRecord
from dispatch_service.domain.authentication import Header
from dispatch_service.domain.outcomes import Outcome
from dispatch_service.domain.work import Claimed
from dispatch_service.routing.subscriptions import Subscription
from dispatch_service.storage import associated_data
from dispatch_service.storage.sealing import Sealer


class KeptExchange(msgspec.Struct, frozen=True, array_like=True):
    """
    The request and the response of an attempt.

    Secrets in the request's headers are masked before.
    """

    request_headers: tuple[Header, ...]
    response_headers: tuple[tuple[str, str], ...]
    response_body: bytes
    body_truncated: bool


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(KeptExchange)


def seal_exchange(
    claimed: Claimed, request_headers: tuple[Header, ...], outcome: Outcome, sealer: Sealer
) -> bytes:
    """
    Seal the request and the response of an attempt.
    """
    kept = KeptExchange(
        request_headers, outcome.response_headers, outcome.response_body, outcome.body_truncated
    )
    associated = associated_data.exchange(claimed.owner, claimed.delivery_id, claimed.number)
    return sealer.seal(_ENCODER.encode(kept), associated)


def read_exchange(plaintext: bytes) -> KeptExchange:
    return _DECODER.decode(plaintext)


def attempt_record(
    claimed: Claimed,
    subscription: Subscription,
    outcome: Outcome,
    sealer: Sealer,
    *,
    start_time: datetime,
    request_headers: tuple[Header, ...],
) -> AttemptRecord:
    """
    Make the record of an attempt from its outcome, and seal its exchange. Secrets in
    *request_headers* are masked already.
    """
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
        sealed_exchange=seal_exchange(claimed, request_headers, outcome, sealer),
    )
