"""
Times, filters, fields and errors, in words.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from shipedge.webhooks.client.errors import ApiError, FieldViolation
from shipedge.webhooks.config.v1.subscription_pb2 import EndpointHealth, Subscription
from shipedge.webhooks.dispatch.v1.attempt_pb2 import Attempt
from webhooksctl.words import failures, filters, times, values

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("30s", timedelta(seconds=30)),
        ("2h", timedelta(hours=2)),
        ("1d12h", timedelta(hours=36)),
    ],
)
def test_durations_are_read_and_written(text: str, span: timedelta) -> None:
    """
    What is written is read as the same span.
    """
    assert times.duration(text) == span
    assert times.written(round(span.total_seconds())) == text


@pytest.mark.parametrize("text", ["", "2", "h", "2 h", "-1h", "2w"])
def test_other_durations_are_refused(text: str) -> None:
    """
    The refusal shows examples.
    """
    with pytest.raises(ValueError, match="2h or 1d12h"):
        times.duration(text)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("2h", "2026-01-31T10:00:00.000000Z"),
        ("2026-01-30", "2026-01-30T00:00:00.000000Z"),
        ("2026-01-30T09:00:00+02:00", "2026-01-30T07:00:00.000000Z"),
    ],
)
def test_moments_are_ago_or_absolute(text: str, written: str) -> None:
    """
    A time without a zone is in UTC.
    """
    assert times.rfc3339(times.moment(text, NOW)) == written


def test_other_moments_are_refused() -> None:
    """
    The refusal shows examples.
    """
    with pytest.raises(ValueError, match="2026-01-31T09:30:00Z"):
        times.moment("yesterday", NOW)


def test_texts_cannot_leave_their_quotes() -> None:
    """
    Quotes and backslashes are escaped, and empty fields left out.
    """
    parts = filters.equal({"url": 'a"\\', "event_type": ""})

    assert parts == ['url = "a\\"\\\\"']


def test_filters_are_joined() -> None:
    """
    Times become comparisons; the text of `--filter` comes last.
    """
    parts = filters.between("create_time", "2h", "1h", NOW)

    assert filters.joined(parts, ' kind = "x" ') == (
        'create_time >= "2026-01-31T10:00:00.000000Z" AND '
        'create_time < "2026-01-31T11:00:00.000000Z" AND kind = "x"'
    )


def test_fields_are_words() -> None:
    """
    Enums lose their prefix, what is not set is empty, lists are joined.
    """
    health = EndpointHealth(state=EndpointHealth.STATE_FAILING)
    found = Subscription(status=Subscription.STATUS_ACTIVE, ordered=True, endpoint_health=health)
    found.custom_headers.add(name="A")
    found.custom_headers.add(name="B")
    attempt = Attempt()
    attempt.duration.FromMilliseconds(250)
    attempt.start_time.FromSeconds(0)

    assert values.text_at(found, "status") == "active"
    assert values.text_at(found, "ordered") == "yes"
    assert values.text_at(found, "endpoint_health.state") == "failing"
    assert values.text_at(found, "custom_headers.name") == "A, B"
    assert values.text_at(Subscription(), "status") == ""
    assert values.text_at(Subscription(), "endpoint_health.state") == ""
    assert values.text_at(attempt, "duration") == "250ms"
    assert values.text_at(attempt, "start_time") == "1970-01-01 00:00:00Z"


def test_details_are_the_fields_that_are_set() -> None:
    """
    Messages within messages are paths.
    """
    found = Subscription(url="https://a.example", max_concurrency=3)
    found.custom_headers.add(name="A", value_set=True)
    found.filter.skus.extend(["x", "y"])

    assert list(values.details(found)) == [
        ("url", "https://a.example"),
        ("filter.skus", "x, y"),
        ("custom_headers[0].name", "A"),
        ("custom_headers[0].value_set", "yes"),
        ("max_concurrency", "3"),
    ]


def test_headers_are_shown_under_their_names() -> None:
    """
    A pair of a name and a value is one line; a code of 0 stands for none.
    """
    attempt = Attempt(response_code=0)
    attempt.request.headers.add(name="User-Agent", value="a/1")

    assert list(values.details(attempt)) == [("request.headers.User-Agent", "a/1")]
    assert values.text_at(attempt, "response_code") == ""


def test_texts_of_others_cannot_steer_the_terminal() -> None:
    """
    Escapes and marks of direction are shown, line ends kept.
    """
    assert values.printable("a\x1b[2J\u202eb\nc\u00e9") == "a\\x1b[2J\\u202eb\nc\u00e9"


@pytest.mark.parametrize(
    ("error", "text", "code"),
    [
        (
            ApiError(
                "INVALID_ARGUMENT",
                "The request is invalid.",
                reason="FIELD_INVALID",
                violations=[FieldViolation("subscription.url", "must be absolute", "URL_INVALID")],
            ),
            "subscription.url: must be absolute (URL_INVALID)",
            failures.REFUSED,
        ),
        (
            ApiError("NOT_FOUND", "There is no such thing.", reason="SUBSCRIPTION_NOT_FOUND"),
            "There is no such thing. (SUBSCRIPTION_NOT_FOUND)",
            failures.REFUSED,
        ),
        (
            ApiError("RESOURCE_EXHAUSTED", "too much", reason="BACKLOG_FULL", retry_after=1.5),
            "too much (BACKLOG_FULL); try again in 1.5 s",
            failures.REFUSED,
        ),
        (
            ApiError("UNAVAILABLE", "Connection refused"),
            "a service cannot be reached: Connection refused",
            failures.UNREACHABLE,
        ),
    ],
)
def test_errors_are_one_sentence(error: ApiError, text: str, code: int) -> None:
    """
    Fields come first, the reason last; what does not answer has an exit code of its own.
    """
    assert failures.sentence(error) == text
    assert failures.exit_code_of(error) == code
