"""
Whatever callers send where a text is read: a clear refusal or an answer, never a fault.
"""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config_service.store.subscription_store import FILTER_FIELDS
from dispatch_service.domain.outcomes import Response
from dispatch_service.egress.answers.tokens import read_answer
from dispatch_service.log.filters import parse_attempt_filter, parse_delivery_filter
from dispatch_service.payloads import check
from service_runtime.rpc import filters, names
from service_runtime.rpc.caller_directory import CallerDirectory
from service_runtime.rpc.errors import InvalidArgument
from service_runtime.rpc.paging import PageTokens
from service_runtime.rules.headers import header_problems
from service_runtime.rules.urls import UrlRefusedError, UrlRules, parse_url
from shipedge.webhooks.config.v1.config_service_pb2 import ListSubscriptionsRequest
from shipedge.webhooks.events.v1.event_pb2 import Event

_PIECES = st.sampled_from(
    ["event_type", "=", "!=", "<=", " AND ", '"', "\\", "status", "2024-01-01T00:00:00Z", "-", "("]
)
FILTERS = st.text() | st.lists(_PIECES | st.text(max_size=5), max_size=12).map("".join)
NAMES = st.text() | st.lists(
    st.sampled_from(["accounts/", "1", "warehouses/", "/", "subscriptions/", "dlv_", "-", "%2F"])
    | st.text(max_size=4),
    max_size=8,
).map("".join)
KINDS = ("owner", "subscription", "credential", "delivery", "attempt", "event", "caller")


@pytest.mark.slow
@given(FILTERS)
def test_filters(text: str) -> None:
    """
    A filter is read or refused.
    """
    with contextlib.suppress(InvalidArgument):
        filters.parse(text, FILTER_FIELDS)
    with contextlib.suppress(InvalidArgument):
        parse_attempt_filter(text)
    with contextlib.suppress(InvalidArgument):
        parse_delivery_filter(text)


@given(st.sampled_from(KINDS), NAMES)
def test_names(kind: str, text: str) -> None:
    """
    A name is read or refused; one that is read has an owner of the right form.
    """
    with contextlib.suppress(InvalidArgument):
        owner = names.parse(kind, text).owner
        assert owner == "" or owner.partition("/")[0] in {"accounts", "warehouses"}


@given(st.text() | st.binary().map(lambda raw: raw.hex()))
def test_page_tokens(token: str) -> None:
    """
    Only our own tokens are read.
    """
    tokens, request = PageTokens(b"k" * 32), ListSubscriptionsRequest(parent="accounts/1")
    with contextlib.suppress(InvalidArgument):
        assert tokens.read(token, request) is None


@given(st.text() | st.text(max_size=60).map(lambda text: f"https://{text}"))
def test_urls(text: str) -> None:
    """
    A URL is read or refused; what is read is a line of visible ASCII.
    """
    with contextlib.suppress(UrlRefusedError):
        url = parse_url(text, UrlRules())
        assert url.text.isascii()
        assert url.text.isprintable()


@given(st.lists(st.tuples(st.text(), st.text()), max_size=30))
def test_headers(headers: list[tuple[str, str]]) -> None:
    """
    Headers are judged, whatever they hold.
    """
    header_problems(headers, has_credential=True)


@given(st.text(), st.lists(st.binary(), max_size=3))
def test_callers(authorization: str, identities: list[bytes]) -> None:
    """
    Nobody is let in by chance.
    """
    shown = {"x509_subject_alternative_name": identities}
    assert CallerDirectory().identify({"authorization": authorization}, shown) is None


@given(st.integers(100, 599), st.binary() | st.text().map(str.encode))
def test_token_endpoints(status: int, body: bytes) -> None:
    """
    Whatever a token endpoint answers is a token or a refusal.
    """
    token = read_answer(Response(status_code=status, body=body))
    assert bool(token.text) != bool(token.refusal)


@given(st.binary(max_size=400))
def test_published_bytes(content: bytes) -> None:
    """
    An event of any bytes that protobuf reads is checked without a fault.
    """
    event: Any = Event()
    with contextlib.suppress(Exception):
        event.ParseFromString(content)
    check(event)
