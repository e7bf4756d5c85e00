"""
Requests as bytes.
"""

import pytest

from dispatch_service.domain.authentication import ClientIdentity
from dispatch_service.domain.outcomes import FailureKind
from dispatch_service.egress.requests import ExchangeFailedError, OutboundRequest, wire_form
from service_runtime.rules.urls import parse_url

URL = parse_url("https://hooks.acme.com:8443/a?b=s3cret")


def test_wire_form() -> None:
    """
    A request has a request line, `Host`, the length, the headers in their order, and the body.
    """
    request = OutboundRequest(
        owner="a", url=URL, headers=((b"X-A", b"1"), (b"X-B", b"")), body=b"{}"
    )

    assert wire_form(request) == (
        b"POST /a?b=s3cret HTTP/1.1\r\nHost: hooks.acme.com:8443\r\nContent-Length: 2\r\n"
        b"X-A: 1\r\nX-B: \r\n\r\n{}"
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"Host", b"169.254.169.254"),
        (b"host", b"x"),
        (b"Content-Length", b"1"),
        (b"Transfer-Encoding", b"chunked"),
        (b"TE", b"x"),
        (b"Connection", b"close"),
        (b"Upgrade", b"h2c"),
        (b"X-A", b"1\r\nX-B: 2"),
        (b"X-A", b"1\n"),
        (b"X-A", b"\x00"),
        (b"X-A", b"\x7f"),
        (b"X-A", "é".encode()),
        (b"X A", b"1"),
        (b"X-A:", b"1"),
        (b"", b"1"),
        ("X-é".encode(), b"1"),
    ],
)
def test_no_header_frames_the_message(name: bytes, value: bytes) -> None:
    """
    A header that could be read as two, or that frames the message, is refused here as well.
    """
    with pytest.raises(ExchangeFailedError) as raised:
        wire_form(OutboundRequest(owner="a", url=URL, headers=((name, value),)))

    assert raised.value.kind is FailureKind.INTERNAL


def test_reprs_hide_secrets() -> None:
    """
    A repr contains no headers, body, query or keys.
    """
    identity = ClientIdentity(id="c", chain_pem=b"s3cret", key_pem=b"s3cret")
    request = OutboundRequest(
        owner="a", url=URL, headers=((b"X", b"s3cret"),), body=b"s3cret", identity=identity
    )

    assert "s3cret" not in repr(request)
