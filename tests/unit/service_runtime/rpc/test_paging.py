"""
Pages and their tokens.
"""

from __future__ import annotations

import base64

import pytest
from google.protobuf.wrappers_pb2 import BytesValue
from hypothesis import given
from hypothesis import strategies as st

from service_runtime.rpc.errors import InvalidArgument
from service_runtime.rpc.paging import PageTokens, fitting, page_size
from shipedge.webhooks.dispatch.v1.delivery_service_pb2 import (
    ListAttemptsRequest,
    ListDeliveriesRequest,
)

TOKENS = PageTokens(b"k" * 32)
REQUEST = ListDeliveriesRequest(parent="accounts/1", filter="state = FAILED")


@pytest.mark.parametrize(("asked", "given_size"), [(0, 50), (1, 1), (1000, 1000), (9999, 1000)])
def test_sizes(asked: int, given_size: int) -> None:
    """
    Nothing asks for the default, too much gets the most.
    """
    assert page_size(asked) == given_size


def test_negative_size() -> None:
    """
    A negative size is refused.
    """
    with pytest.raises(InvalidArgument):
        page_size(-1)


def test_token_leads_to_the_next_page() -> None:
    """
    What was sealed comes back, whatever the size of the page.
    """
    token = TOKENS.make([17, "dlv_1"], REQUEST)
    again = ListDeliveriesRequest(page_size=7, page_token=token)
    again.MergeFrom(REQUEST)

    assert TOKENS.read(token, again) == [17, "dlv_1"]
    assert TOKENS.read("", REQUEST) is None


def test_token_does_not_show_what_it_holds() -> None:
    """
    Tokens are opaque.
    """
    token = TOKENS.make(["secret"], REQUEST)

    assert b"secret" not in base64.urlsafe_b64decode(token + "==")


@pytest.mark.parametrize(
    "other",
    [
        ListDeliveriesRequest(parent="accounts/2", filter="state = FAILED"),
        ListDeliveriesRequest(parent="accounts/1"),
        ListAttemptsRequest(parent="accounts/1", filter="state = FAILED"),
    ],
)
def test_token_of_another_request_is_refused(
    other: ListDeliveriesRequest | ListAttemptsRequest,
) -> None:
    """
    A token belongs to its method, its parent and its filter.
    """
    token = TOKENS.make([17], REQUEST)

    with pytest.raises(InvalidArgument) as raised:
        TOKENS.read(token, other)

    assert raised.value.reason == "PAGE_TOKEN_INVALID"


@given(st.text(min_size=1))
def test_nothing_but_the_typed_error(token: str) -> None:
    """
    Whatever is given, it is our token or a clear refusal.
    """
    with pytest.raises(InvalidArgument):
        TOKENS.read(token, REQUEST)


def test_page_ends_where_it_is_full() -> None:
    """
    As many as fit, one at least, all where there is room.
    """
    messages = [BytesValue(value=b"x" * 100) for _ in range(5)]

    assert len(fitting(messages, 250)) == 2
    assert len(fitting(messages, 10)) == 1
    assert len(fitting(messages, 10_000)) == 5
    assert fitting([], 10) == []
