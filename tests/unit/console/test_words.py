"""
What the console says about jobs, failures and what will happen.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from console.pages.jobs import list_filter
from console.words.consequences import of_waiting
from console.words.expiry import of_certificate
from console.words.groups import by_reason
from console.words.progress import of_job
from console.words.results import explained
from shipedge.webhooks.dispatch.v1.attempt_pb2 import Attempt
from shipedge.webhooks.dispatch.v1.delivery_pb2 import Delivery
from shipedge.webhooks.dispatch.v1.resend_job_pb2 import ResendJob
from shipedge.webhooks.events.v1 import failure_kind_pb2

START = datetime(2026, 1, 31, 9, tzinfo=UTC)


def job(resent: int, skipped: int, total: int, *, ended_after: float | None = None) -> ResendJob:
    """
    Return a job that began at `START`.
    """
    made = ResendJob(succeeded_count=resent, skipped_count=skipped, total_count=total)
    made.create_time.FromDatetime(START)
    if ended_after is not None:
        made.end_time.FromDatetime(START + timedelta(seconds=ended_after))
    return made


@pytest.mark.parametrize(
    ("given", "seconds", "expected"),
    [
        (job(0, 0, 10), 5, (0, 10, "", "")),
        (job(3, 2, 10), 5, (5, 10, "1.0 a second", "5 seconds")),
        (job(50, 0, 1_000), 10, (50, 1_000, "5.0 a second", "3 minutes")),
        (job(50, 0, 100_000), 10, (50, 100_000, "5.0 a second", "6 hours")),
        (job(12, 0, 10), 4, (12, 12, "3.0 a second", "1 second")),
        (job(10, 0, 10, ended_after=5), 900, (10, 10, "2.0 a second", "")),
        (job(5, 0, 10), 0, (5, 10, "", "")),
    ],
)
def test_progress(given: ResendJob, seconds: float, expected: tuple[int, int, str, str]) -> None:
    """
    A job has a rate once something is done, and a time left until it has ended.
    """
    found = of_job(given, START + timedelta(seconds=seconds))

    assert (found.done, found.total, found.rate, found.left) == expected


@pytest.mark.parametrize(
    ("begins", "ends", "expected"),
    [
        (-300, -1, ("Expired", "bad", "on 2026-01-30")),
        (-300, 0, ("Expired", "bad", "on 2026-01-31")),
        (-300, 1, ("Expires very soon", "bad", "1 day left, until 2026-02-01")),
        (-300, 7, ("Expires soon", "plain", "7 days left, until 2026-02-07")),
        (-300, 30, ("Valid", "good", "30 days left, until 2026-03-02")),
        (1, 30, ("Not valid yet", "bad", "from 2026-02-01 09:00 UTC on")),
    ],
)
def test_the_days_of_a_certificate(begins: int, ends: int, expected: tuple[str, str, str]) -> None:
    """
    A certificate is warned of 30 and 7 days before its end.
    """
    begin, end = Timestamp(), Timestamp()
    begin.FromDatetime(START + timedelta(days=begins))
    end.FromDatetime(START + timedelta(days=ends))
    found = of_certificate(begin, end, START)

    assert (found.word, found.kind, found.sentence) == expected


def test_failures_are_counted_by_webhook_and_reason() -> None:
    """
    The reason with the most deliveries stands first; a response counts before the kind.
    """
    timeout = failure_kind_pb2.FAILURE_KIND_TIMEOUT
    status = failure_kind_pb2.FAILURE_KIND_HTTP_STATUS
    first = Delivery(subscription="a", url="new", response_code=503, failure_kind=status)
    older = Delivery(subscription="a", url="old", response_code=503, failure_kind=status)
    slow = Delivery(subscription="b", url="b", failure_kind=timeout)
    cancelled = Delivery(subscription="c", url="c")

    found = by_reason([slow, first, older, cancelled])

    assert [(each.subscription, each.reason, each.count) for each in found] == [
        ("a", "HTTP 503", 2),
        ("b", "timeout", 1),
        ("c", "", 1),
    ]
    assert [each.url for each in found] == ["new", "b", "c"]
    assert [each.kind for each in found] == ["HTTP_STATUS", "TIMEOUT", ""]


@pytest.mark.parametrize(
    ("action", "count", "more", "expected"),
    [
        ("test", 5, False, ""),
        ("delete", 0, False, "No delivery waits now."),
        ("delete", 1, False, "1 delivery waits now and is cancelled."),
        ("activate", 2, False, "2 deliveries wait now and are sent."),
        ("deactivate", 1_000, True, "More than 1,000 deliveries wait now and are kept."),
    ],
)
def test_what_becomes_of_what_waits(action: str, count: int, more: bool, expected: str) -> None:
    """
    Only what touches waiting deliveries mentions them.
    """
    assert of_waiting(action, count, more=more) == expected


SINCE = 'create_time >= "2026-01-31T00:00:00Z"'
OF_ONE = 'subscription = "accounts/1/subscriptions/sub_1"'


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, []),
        ({"state": "asleep"}, []),
        ({"event": "orders/shipped"}, ['event_type = "orders/shipped"']),
        ({"webhook": "sub_1", "code": "503"}, [OF_ONE, "response_code = 503"]),
        ({"webhook": '" OR', "code": "-1"}, []),
        ({"kind": "TIMEOUT"}, ["failure_kind = TIMEOUT"]),
        ({"from": "2026-01-31", "url": 'a"'}, [SINCE, 'url = "a\\""']),
    ],
)
def test_filters_of_resends(query: dict[str, str], expected: list[str]) -> None:
    """
    Only failed deliveries are meant unless another state is asked for; what cannot be read is
    left out.
    """
    pending = list_filter({**query, "state": "pending"}, "accounts/1")

    assert list_filter(query, "accounts/1") == " AND ".join([*expected, "state = FAILED"])
    assert pending == " AND ".join([*expected, "state = PENDING"])


@pytest.mark.parametrize(
    ("error", "code", "expected"),
    [
        (
            "HTTP 401: the server asks for authentication; look at the webhook's authentication",
            401,
            (
                "HTTP 401: the server asks for authentication.",
                "Look at the webhook's authentication.",
            ),
        ),
        ("HTTP 404", 404, ("HTTP 404.", "Look at the path of the webhook's URL.")),
        ("", 0, ("", "Look at the server's answer, which the attempt shows.")),
    ],
)
def test_failed_attempts(error: str, code: int, expected: tuple[str, str]) -> None:
    """
    What happened and what to do are two sentences; older errors have what is known of their code.
    """
    attempt = Attempt(
        error=error,
        response_code=code,
        failure_kind=failure_kind_pb2.FAILURE_KIND_HTTP_STATUS,
    )

    assert explained(attempt) == expected
    assert explained(Attempt(response_code=200)) == ("", "")
