"""
The spans of commits, attempts and results, made from what is known after the commit.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Protocol

from dispatch_service.domain.attempt_record import AttemptRecord
from dispatch_service.domain.work import Claimed, Settlement
from service_runtime.rpc import names
from service_runtime.rpc.tracing.spans import Span, SpanKind, is_recorded, wall_time

_MICROSECOND = 1e-6
_SPAN_ID_BYTES = 8


class Traced(Protocol):
    """
    What has a place in a trace, or None.
    """

    @property
    def trace_parent(self) -> str | None: ...


def attempt_place(claimed: Claimed) -> str | None:
    """
    Return the place of an attempt under that of its publisher's call. It follows from the ids, so
    a receiver can be given it, and the span have it, without anything that is kept between.
    """
    return _under(claimed.trace_parent, f"{claimed.delivery_id}/{claimed.number}")


def of_commit(group: Sequence[Traced], started: float) -> Sequence[Span]:
    """
    Return the spans of a commit of events that began at a monotonic time and ends now, one for
    each call that published some of them.
    """
    seconds = time.monotonic() - started
    counts = Counter(it.trace_parent for it in group if is_recorded(it.trace_parent))
    return [
        Span(
            "commit events",
            SpanKind.INTERNAL,
            _under(parent, f"commit/{started}") or "",
            parent or "",
            wall_time(started),
            seconds,
            {"shipedge.events": number, "shipedge.batch_events": len(group)},
        )
        for parent, number in counts.items()
    ]


def of_results(settlements: Sequence[Settlement], started: float) -> Sequence[Span]:
    """
    Return the spans of attempts, and of the commit of their results that began at a monotonic
    time and ends now.
    """
    seconds = time.monotonic() - started
    return [
        span
        for it in settlements
        if is_recorded(it.claimed.trace_parent)
        for span in _spans(it, wall_time(started), seconds)
    ]


def _spans(settlement: Settlement, start: float, seconds: float) -> Iterator[Span]:
    claimed, record = settlement.claimed, settlement.attempt
    parent = claimed.trace_parent or ""
    about = {
        "shipedge.owner": claimed.owner,
        "shipedge.delivery": names.DELIVERY_PREFIX + claimed.delivery_id,
    }
    if record is not None:
        place = attempt_place(claimed) or ""
        yield _attempt(claimed, record, place, parent, about)
        parent = place
    transition = settlement.transition
    yield Span(
        "write result",
        SpanKind.INTERNAL,
        _under(parent, f"result/{claimed.key}") or "",
        parent,
        start,
        seconds,
        about | {"shipedge.state": transition.state.value},
        transition.failure_kind or "",
    )


def _attempt(
    claimed: Claimed, record: AttemptRecord, place: str, parent: str, about: dict[str, str]
) -> Span:
    scheme, _, address = claimed.endpoint.partition("://")
    attributes: dict[str, str | int] = {
        **about,
        "shipedge.subscription": names.subscription(claimed.owner, claimed.subscription),
        "shipedge.event_type": claimed.event_type,
        "shipedge.attempt": record.number,
        "http.request.method": "POST",
        "url.scheme": scheme,
        # Host and port: the path of a URL is secret.
        "server.address": address,
    }
    if record.response_code is not None:
        attributes["http.response.status_code"] = record.response_code
    if record.failure_kind is not None:
        attributes["error.type"] = record.failure_kind
    return Span(
        "attempt",
        SpanKind.CLIENT,
        place,
        parent,
        record.start_time.timestamp(),
        (record.duration_us or 0) * _MICROSECOND,
        attributes,
        record.failure_kind or "",
    )


def _under(parent: str | None, name: str) -> str | None:
    """
    Return the place of what *name* says under *parent*; None if that has no place.
    """
    if not parent:
        return None
    version, trace_id, span_id, flags = parent.split("-")
    text = f"{span_id}/{name}".encode()
    own = hashlib.blake2b(text, digest_size=_SPAN_ID_BYTES).hexdigest()
    return f"{version}-{trace_id}-{own}-{flags}"
