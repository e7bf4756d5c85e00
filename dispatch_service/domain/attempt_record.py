"""
What the log keeps of an attempt.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from dispatch_service.domain.transitions import Trigger


class AttemptRecord(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """
    What the log keeps of an attempt. Times of phases are in microseconds.
    """

    number: int
    trigger: Trigger
    requested_by: str | None
    status: str
    failure_kind: str | None
    response_code: int | None
    error: str | None
    url_shown: str
    url_hash: bytes
    start_time: datetime
    duration_us: int | None
    dns_us: int | None
    connect_us: int | None
    tls_us: int | None
    first_byte_us: int | None
    sealed_exchange: bytes | None
