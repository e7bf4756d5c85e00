"""
Which secrets an update of a subscription must give again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from config_service.rules.kept_secrets import check_destination
from service_runtime.rpc import masks
from service_runtime.rpc.errors import InvalidArgument
from service_runtime.rules.urls import UrlRules
from shipedge.webhooks.config.v1.subscription_pb2 import CustomHeader, Subscription

CREDENTIAL = "accounts/100/credentials/main"
CERTIFICATE = "accounts/100/clientCertificates/main"
HEADER = CustomHeader(name="X-Key", value="secret")


def before(**over: Any) -> Subscription:
    """
    Make a subscription with all secrets that no answer shows.
    """
    values: dict[str, Any] = {
        "url": "https://example.com/hooks",
        "custom_headers": [HEADER],
        "credential": CREDENTIAL,
        "client_certificate": CERTIFICATE,
    }
    return Subscription(**(values | over))


def missing(old: Subscription, **given: Any) -> Sequence[str]:
    """
    Return the fields that an update without a mask must give again.
    """
    fields = list(given)
    after = masks.merged(old, Subscription(**given), fields)
    try:
        check_destination(old, after, fields, UrlRules())
    except InvalidArgument as refused:
        return [refused.reason, *(it.field.partition(".")[2] for it in refused.faults)]
    return []


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/other?key=1",
        "https://EXAMPLE.com:443/hooks",
        "https://example.com/hooks",
    ],
)
def test_the_same_host_keeps_them(url: str) -> None:
    """
    Path and query may change alone.
    """
    assert missing(before(), url=url) == []


@pytest.mark.parametrize(
    "url",
    ["https://example.org/hooks", "https://example.com:8443/hooks", "http://example.com/hooks"],
)
def test_another_host_needs_all_of_them(url: str) -> None:
    """
    Whatever the old host got and no answer shows must be given or named again.
    """
    every = ["SECRET_REQUIRED", "custom_headers[0].value", "credential", "client_certificate"]
    assert missing(before(), url=url) == every


@pytest.mark.parametrize(
    ("given", "fields"),
    [
        ({"custom_headers": [HEADER]}, ["credential", "client_certificate"]),
        (
            {"custom_headers": [CustomHeader(name="X-Key")]},
            ["custom_headers[0].value", "credential", "client_certificate"],
        ),
        ({"custom_headers": [HEADER], "credential": CREDENTIAL}, ["client_certificate"]),
    ],
)
def test_what_is_given_again_is_not_asked_for(given: dict[str, Any], fields: Sequence[str]) -> None:
    """
    Each secret is given or named by itself.
    """
    reason, *found = missing(before(), url="https://example.org/", **given)
    assert (reason, found) == ("SECRET_REQUIRED", fields)


def test_all_given_again_or_dropped() -> None:
    """
    Then nothing is missing.
    """
    dropped: dict[str, Any] = {"custom_headers": [], "credential": ""}
    again = {"client_certificate": CERTIFICATE}
    assert missing(before(), url="https://example.org/", **dropped, **again) == []


def test_an_unusable_url_that_stays_needs_nothing() -> None:
    """
    A URL that breaks the rules of today goes nowhere else by an update of other fields.
    """
    assert missing(before(url="https://10.0.0.1/"), description="kept") == []
    assert missing(before(url="https://10.0.0.1/"), url="https://example.com/")
    assert missing(Subscription(url="https://a.com/"), url="https://b.com/") == []
