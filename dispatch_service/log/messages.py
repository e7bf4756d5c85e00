"""
Convert rows of the log to messages of the contract.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from google.protobuf import duration_pb2, timestamp_pb2

from dispatch_service.domain.outcomes import failure_kind_value
from dispatch_service.domain.transitions import TEST_RESOURCES, State
from dispatch_service.log.exchanges import Detail, KeptExchange
from dispatch_service.log.waiting_times import waiting, waiting_times
from dispatch_service.storage.rows import (
    AttemptRow,
    DeliveryRow,
    EventRow,
    JobRow,
    ReplayJobRow,
    ResendJobRow,
)
from dispatch_service.storage.urls import UrlKey
from service_runtime.rpc import names
from shipedge.webhooks.catalogue import CATALOGUE
from shipedge.webhooks.dispatch.v1 import (
    accepted_event_pb2,
    attempt_pb2,
    delivery_pb2,
    replay_job_pb2,
    resend_job_pb2,
)

_PHASES = ("dns", "connect", "tls", "first_byte")


def delivery_message(row: DeliveryRow, urls: Mapping[UrlKey, str]) -> delivery_pb2.Delivery:
    """
    Convert a delivery, with its whole URL if *urls* has it.
    """
    message = delivery_pb2.Delivery(
        name=names.delivery(row.owner, row.delivery_id),
        event=names.event(row.account, row.event_id),
        subscription=names.subscription(row.owner, row.subscription),
        event_type=row.event_type,
        payload_version=row.payload_version,
        topic=CATALOGUE.topic(row.event_type, row.payload_version),
        url=urls.get((row.owner, row.url_hash), row.url_shown),
        state=delivery_pb2.Delivery.State.Value(f"STATE_{row.state}"),
        resource=row.resource,
        sequence=row.sequence,
        attempt_count=row.attempt_count,
        failure_kind=failure_kind_value(row.failure_kind),
        response_code=row.response_code or 0,
        body_sha256=row.sha256.hex() if row.sha256 is not None else "",
        body_bytes=row.body_bytes or 0,
        body_erased=row.sha256 is None,
        test=row.resource.startswith(TEST_RESOURCES),
        replay=row.replayed,
    )
    _set_time(message.create_time, row.create_time)
    _set_time(message.end_time, row.end_time)
    _set_time(message.occur_time, row.occurred_at)
    if (found := waiting(row)) is not None:
        reason = delivery_pb2.Delivery.Waiting.Reason.Value(f"REASON_{found.reason.name}")
        message.waiting.reason, message.waiting.text = reason, found.text
        _set_time(message.waiting.until_time, found.until)
    times = waiting_times(row)
    _set_time(message.next_attempt_time, times.next_attempt)
    _set_time(message.expire_time, times.expire)
    return message


def event_message(
    row: EventRow, event_types: Iterable[str], counts: Mapping[str, int]
) -> accepted_event_pb2.Event:
    """
    Convert an event, with the event types that it raised and its deliveries by state.
    """
    message = accepted_event_pb2.Event(
        name=names.event(row.account, row.event_id),
        kind=row.domain_event,
        resource=row.resource,
        sequence=row.sequence,
        event_types=event_types,
        match_pending=row.match_state == "PENDING_MATCH",
        content_erased=row.content_erased,
        test=row.resource.startswith(TEST_RESOURCES),
    )
    for state in State:
        if count := counts.get(state.value):
            value = delivery_pb2.Delivery.State.Value(f"STATE_{state.value}")
            message.delivery_counts.add(state=value, count=count)
    _set_time(message.accept_time, row.accept_time)
    _set_time(message.occur_time, row.occurred_at)
    return message


def resend_job_message(row: ResendJobRow) -> resend_job_pb2.ResendJob:
    message = resend_job_pb2.ResendJob(
        name=names.resend_job(row.owner, row.job_id),
        state=resend_job_pb2.ResendJob.State.Value(f"STATE_{row.state}"),
        filter=row.filter,
        succeeded_count=row.resent_count,
    )
    _set_progress(message, row)
    return message


def replay_job_message(row: ReplayJobRow) -> replay_job_pb2.ReplayJob:
    message = replay_job_pb2.ReplayJob(
        name=names.replay_job(row.owner, row.job_id),
        state=replay_job_pb2.ReplayJob.State.Value(f"STATE_{row.state}"),
        subscription=names.subscription(row.owner, row.subscription),
        kinds=json.loads(row.kinds or "[]"),
        events=[names.event(*key) for key in json.loads(row.events or "[]")],
        succeeded_count=row.succeeded_count,
    )
    if row.events is None:
        _set_time(message.accept_start_time, row.accept_start_time)
        _set_time(message.accept_end_time, row.accept_end_time)
    _set_progress(message, row)
    return message


def _set_progress(
    message: resend_job_pb2.ResendJob | replay_job_pb2.ReplayJob, row: JobRow
) -> None:
    message.total_count = row.total_count
    message.skipped_count = row.skipped_count
    message.failed_count = row.failed_count
    message.rate_limit = row.rate_limit
    message.requested_by = row.requested_by
    if row.error is not None:
        message.error.MergeFromString(row.error)
    _set_time(message.create_time, row.create_time)
    _set_time(message.end_time, row.end_time)


def attempt_message(
    row: AttemptRow, urls: Mapping[UrlKey, str], kept: KeptExchange | None = None
) -> attempt_pb2.Attempt:
    """
    Convert an attempt, with its whole URL if *urls* has it, and with its request and response if
    *kept* has them.
    """
    message = attempt_pb2.Attempt(
        name=names.attempt(row.owner, row.delivery_id, row.number),
        number=row.number,
        event=names.event(row.account, row.event_id),
        subscription=names.subscription(row.owner, row.subscription),
        event_type=row.event_type,
        payload_version=row.payload_version,
        url=urls.get((row.owner, row.url_hash), row.url_shown),
        trigger=attempt_pb2.Attempt.Trigger.Value(f"TRIGGER_{row.attempt_trigger}"),
        status=attempt_pb2.Attempt.Status.Value(f"STATUS_{row.status}"),
        failure_kind=failure_kind_value(row.failure_kind),
        error=row.error or "",
        response_code=row.response_code or 0,
        requested_by=row.requested_by or "",
        resource=row.resource,
    )
    _set_time(message.start_time, row.start_time)
    _set_time(message.next_attempt_time, row.next_attempt_time)
    _set_span(message.duration, row.duration_us)
    for phase in _PHASES:
        micros = getattr(row, f"{phase}_us")
        if micros is not None:
            _set_span(getattr(message.timings, phase), micros)
    if kept is not None:
        _show_exchange(message, kept)
    return message


def _show_exchange(message: attempt_pb2.Attempt, kept: KeptExchange) -> None:
    for sent, sent_value in kept.request_headers:
        message.request.headers.add(name=sent.decode(), value=sent_value.decode())
    for name, value in kept.response_headers:
        message.response.headers.add(name=name, value=value)
    message.response.body = kept.response_body
    message.response.body_truncated = kept.body_truncated
    detail = f"EXCHANGE_DETAIL_{Detail(kept.detail).name}"
    message.exchange_detail = attempt_pb2.Attempt.ExchangeDetail.Value(detail)


def _set_time(field: timestamp_pb2.Timestamp, instant: datetime | None) -> None:
    if instant is not None:
        field.FromDatetime(instant)


def _set_span(field: duration_pb2.Duration, micros: int | None) -> None:
    if micros is not None:
        field.FromTimedelta(timedelta(microseconds=micros))
