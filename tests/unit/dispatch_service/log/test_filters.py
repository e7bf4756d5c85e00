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
    url_hash,
)
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
