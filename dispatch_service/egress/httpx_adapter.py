"""
Requests of httpx through the guarded transport, for exchanges that are not deliveries.
"""

import httpx

from dispatch_service.domain.outcomes import FailureKind
from dispatch_service.egress.requests import (
    DEADLINE_SECONDS,
    ExchangeFailedError,
    OutboundRequest,
)
from dispatch_service.egress.transport import GuardedTransport
from service_runtime.rules.urls import UrlRefusedError, parse_url
from shipedge.webhooks.failures.causes import Cause

# Headers that a client of httpx sets by itself, and that are set anew here or by `wire_form`.
_SET_HERE = frozenset({b"host", b"content-length", b"connection", b"accept-encoding"})

# The body comes as it was sent and may be truncated: httpx must neither decode nor measure it.
_DROPPED = frozenset({b"content-encoding", b"content-length", b"transfer-encoding"})

_ERRORS: dict[FailureKind, type[httpx.TransportError]] = {
    FailureKind.TIMEOUT: httpx.ReadTimeout,
    FailureKind.INVALID_URL: httpx.UnsupportedProtocol,
    FailureKind.PROTOCOL: httpx.RemoteProtocolError,
    FailureKind.INTERNAL: httpx.LocalProtocolError,
    FailureKind.PROXY: httpx.ProxyError,
}


class HttpxAdapter(httpx.AsyncBaseTransport):
    """
    Let an `httpx.AsyncClient` send its requests through a guarded transport.

    Closing the client leaves the transport open, because deliveries share it.
    """

    def __init__(self, transport: GuardedTransport) -> None:
        self._transport = transport

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """
        Send a request and return the response; raise the errors of httpx.

        Reads the extensions `owner` and `deadline_seconds`. The timeouts of httpx have no effect.
        """
        try:
            response = await self._transport.exchange(await self._from_httpx(request))
        except ExchangeFailedError as failure:
            error = _ERRORS.get(failure.kind, httpx.ConnectError)
            raise error(failure.error, request=request) from failure
        headers = [pair for pair in response.headers if pair[0].lower() not in _DROPPED]
        return httpx.Response(
            response.status_code,
            headers=headers,
            content=response.body,
            request=request,
            extensions={"body_truncated": response.body_truncated},
        )

    async def _from_httpx(self, request: httpx.Request) -> OutboundRequest:
        """
        Convert a request of httpx, under the same rules as the URL of a subscription.
        """
        try:
            url = parse_url(str(request.url), self._transport.rules)
        except UrlRefusedError as error:
            raise ExchangeFailedError(Cause.URL_REFUSED, why=str(error)) from None
        headers = [pair for pair in request.headers.raw if pair[0].lower() not in _SET_HERE]
        return OutboundRequest(
            owner=str(request.extensions.get("owner", "")),
            url=url,
            headers=(*headers, (b"Accept-Encoding", b"identity")),
            body=await request.aread(),
            method=request.method,
            fresh=True,
            needs_body=True,
            deadline_seconds=float(request.extensions.get("deadline_seconds", DEADLINE_SECONDS)),
        )
