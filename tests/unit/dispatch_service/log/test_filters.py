"""
The filters of the log.
"""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from dispatch_service.log.filters import (
    conditions,
    parse_attempt_filter,
    parse_delivery_filter,
)
from dispatch_service.log.url_filters import url_hash, without_urls
from dispatch_service.storage.schema import attempts, deliveries
from service_runtime.keys.keyring import KeyRing
from service_runtime.rpc.errors import InvalidArgument

OWNER = "accounts/100"


def said(source: str) -> str:
    """
    Say a filter of attempts in SQL.
    """
    found = conditions(attempts, OWNER, parse_attempt_filter(source), "start_time", str.encode)
    return " AND ".join(str(sa.and_(it).compile(dialect=sqlite.dialect())) for it in found)


@pytest.mark.parametrize(
    ("source", "column"),
    [
        ('event_type = "orders/shipped"', "event_type"),
        ('payload_version != "v1"', "payload_version"),
        ("status = FAILURE", "status"),
        ("status = success", "status"),
        ("trigger = RESEND", "attempt_trigger"),
        ("failure_kind = TIMEOUT", "failure_kind"),
        ("response_code >= 500", "response_code"),
        ("duration_ms > 5000", "duration_us"),
        ('event = "accounts/100/events/e1"', "event_id"),
        ('subscription = "accounts/100/subscriptions/s"', "subscription"),
        ('resource = "orders/1"', "resource"),
        ('url = "https://example.com/"', "url_hash"),
        ('url = "https://example.com/*"', "url_shown"),
        ('url != "https://exam*"', "url_shown"),
        ("url = 1f3c09ab", "url_hash"),
        ('url = "https://example.com/services/…#1f3c09ab"', "url_hash"),
        (f"url = {'1f' * 32}", "url_hash"),
    ],
)
def test_every_field_has_its_column(source: str, column: str) -> None:
    """
    A comparison is said about the column that holds the field.
    """
    assert f"attempts.{column}" in said(source)


def test_without_a_bound_the_last_days_are_listed() -> None:
    """
    A lower bound on the time replaces the default one.
    """
    assert said("").count("start_time") == 1
    assert said('start_time >= "2026-01-01T00:00:00Z"').count("start_time") == 1
    assert said('start_time < "2026-01-01T00:00:00Z"').count("start_time") == 2


@pytest.mark.parametrize("source", ["state = FAILURE", "status = FAILED", "status > FAILURE"])
def test_attempts_have_no_state(source: str) -> None:
    """
    Fields and values of deliveries are not those of attempts.
    """
    with pytest.raises(InvalidArgument):
        parse_attempt_filter(source)


def test_deliveries_have_states() -> None:
    """
    The states of deliveries can be listed by name.
    """
    (found, _) = conditions(
        deliveries, OWNER, parse_delivery_filter("state = FAILED"), "create_time", str.encode
    )

    assert "deliveries.state" in str(found.compile(dialect=sqlite.dialect()))


def test_url_is_found_however_it_is_written() -> None:
    """
    Two spellings of one URL have one hash; a text that is no URL has one too.
    """
    hashed = url_hash(KeyRing({"a": b"k" * 32}, b"h" * 32))

    assert hashed("HTTPS://Example.com:443") == hashed("https://example.com/")
    assert hashed("https://example.com/a") != hashed("https://example.com/b")
    assert hashed("no url")


@pytest.mark.parametrize(
    "value",
    [
        "https://example.com/services/*",
        "https://example.com?*",
        "example.com*",
        "1f3c09a",
        "1f3c09ab1f",
        "https://example.com/#",
        "https://",
    ],
)
def test_no_beginning_of_a_path_is_searched(value: str) -> None:
    """
    Paths are secret: neither their beginnings nor parts of hashes find anything.
    """
    with pytest.raises(InvalidArgument, match="url must be a full URL"):
        parse_delivery_filter(f'url = "{value}"')


@pytest.mark.parametrize(
    ("source", "kept"),
    [
        ("state = FAILED", "state = FAILED"),
        ("state = FAILED AND url=https://a.com/key", 'state = FAILED AND url="{hash}"'),
        ('url != "https://a.com/key" AND state=FAILED', 'url != "{hash}" AND state=FAILED'),
        (
            'url = "https://A.com/key" and url = "https://a.com:443/key"',
            'url = "{hash}" and url = "{hash}"',
        ),
        ('url = "https://a.com*"', 'url = "https://a.com*"'),
        ("url = 1f3c09ab", 'url = "1f3c09ab"'),
        ('resource = "https://a.com/key"', 'resource = "https://a.com/key"'),
    ],
)
def test_filters_that_are_kept_hold_no_urls(source: str, kept: str) -> None:
    """
    The hash of a full URL stands in its place, and the filter finds the same.
    """
    hashed = url_hash(KeyRing({"a": b"k" * 32}, b"h" * 32))

    hidden = without_urls(source, hashed)

    assert hidden == kept.replace("{hash}", hashed("https://a.com/key").hex())
    assert len(parse_delivery_filter(hidden)) == len(parse_delivery_filter(source))
    assert without_urls(hidden, hashed) == hidden


def test_escapes_stay_in_values() -> None:
    """
    A quote or a backslash in a changed value is escaped again.
    """
    assert without_urls(r'url = "no \"url\" \\" AND a = b', str.encode) == (
        r'url = "no \"url\" \\" AND a = b'
    )
