"""
Rows of the tables as the log, resends and erasures read them.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from dispatch_service.storage.schema import (
    attempts,
    bodies,
    deliveries,
    endpoint_states,
    erasures,
    events,
    replay_jobs,
    resend_jobs,
)
from service_runtime.database.instants import database_now
from service_runtime.database.typed_rows import RowReader


class DeliveryRow(msgspec.Struct, frozen=True, gc=False):
    """
    A delivery, and hash and size of its body; both are None where the body is gone.

    *open_until* is when the next probe of its endpoint may be sent, None if the breaker is not
    open; *read_time* the time of the database when the row was read.

    Text in UPPER_CASE columns is the name of an enum's value. *sequence_position* is None for
    a delivery that belongs to no sequence.
    """

    owner: str
    delivery_id: str
    account: int
    event_id: str
    subscription: str
    event_type: str
    payload_version: str
    url_shown: str
    url_hash: bytes
    resource: str
    sequence: int
    occurred_at: datetime
    create_time: datetime
    state: str
    due_time: datetime | None
    expire_time: datetime
    end_time: datetime | None
    wait_reason: str | None
    lease_owner: str | None
    attempt_count: int
    replayed: bool
    sequence_position: int | None
    failure_kind: str | None
    response_code: int | None
    sha256: bytes | None
    body_bytes: int | None
    open_until: datetime | None
    read_time: datetime


class AttemptRow(msgspec.Struct, frozen=True, gc=False):
    """
    An attempt without its request and response.
    """

    owner: str
    delivery_id: str
    number: int
    account: int
    event_id: str
    subscription: str
    event_type: str
    payload_version: str
    resource: str
    url_shown: str
    url_hash: bytes
    attempt_trigger: str
    requested_by: str | None
    status: str
    failure_kind: str | None
    response_code: int | None
    error: str | None
    start_time: datetime
    duration_us: int | None
    dns_us: int | None
    connect_us: int | None
    tls_us: int | None
    first_byte_us: int | None
    next_attempt_time: datetime | None


class WholeAttemptRow(AttemptRow, frozen=True, gc=False):
    """
    An attempt with its sealed request and response; None where they are gone.
    """

    sealed_exchange: bytes | None


class SettledAttemptRow(AttemptRow, frozen=True, gc=False):
    """
    An attempt found by the time at which its result was written, which is never NULL then.
    """

    settle_time: datetime


class EventRow(msgspec.Struct, frozen=True, gc=False):
    """
    An accepted event without its content. *warehouses* is a JSON array of ids, or None.
    """

    account: int
    event_id: str
    domain_event: str
    resource: str
    sequence: int
    occurred_at: datetime
    accept_time: datetime
    match_state: str
    warehouses: str | None
    content_erased: bool


class JobRow(msgspec.Struct, frozen=True, gc=False):
    """
    How far a job is. *error*, a serialised `google.rpc.Status`, is what made it fail.
    """

    owner: str
    job_id: str
    state: str
    rate_limit: int
    total_count: int
    skipped_count: int
    failed_count: int
    requested_by: str
    create_time: datetime
    end_time: datetime | None
    error: bytes | None


class ResendJobRow(JobRow, frozen=True, gc=False):
    """
    A resend job; *names* is a JSON array of delivery ids, None where *filter* chooses.
    """

    filter: str
    names: str | None
    force: bool
    resent_count: int
    after_time: datetime | None
    after_delivery_id: str | None


class ReplayJobRow(JobRow, frozen=True, gc=False):
    """
    A replay job. *kinds* is a JSON array, None for all kinds; *events* one of pairs of an account
    and an event id, None where the span chooses.
    """

    subscription: str
    accept_start_time: datetime
    accept_end_time: datetime
    kinds: str | None
    events: str | None
    succeeded_count: int
    after_time: datetime | None


class ErasableEvent(msgspec.Struct, frozen=True, gc=False):
    """
    An event to erase; *warehouses* is a JSON array of ids.
    """

    account: int
    event_id: str
    warehouses: str | None


class WaitingErasure(ErasableEvent, frozen=True, gc=False):
    """
    An event whose erasure waits for an attempt, and the caller who asked for it.
    """

    requested_by: str


DELIVERIES = RowReader(
    DeliveryRow,
    deliveries,
    bodies,
    endpoint_states,
    other_columns={"read_time": database_now()},
)
ATTEMPTS = RowReader(AttemptRow, attempts)
WHOLE_ATTEMPTS = RowReader(WholeAttemptRow, attempts)
SETTLED_ATTEMPTS = RowReader(SettledAttemptRow, attempts)
EVENTS = RowReader(
    EventRow, events, other_columns={"content_erased": events.c.sealed_payload.is_(None)}
)
RESEND_JOBS = RowReader(
    ResendJobRow, resend_jobs, other_columns={"job_id": resend_jobs.c.resend_job_id}
)
REPLAY_JOBS = RowReader(
    ReplayJobRow, replay_jobs, other_columns={"job_id": replay_jobs.c.replay_job_id}
)
ERASABLE_EVENTS = RowReader(ErasableEvent, events)
WAITING_ERASURES = RowReader(WaitingErasure, events, erasures)
